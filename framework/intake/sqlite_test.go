package intake

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// onDisk is an intake over a SQLite store in dir.
type onDisk struct {
	*Handler
	store      *sqlite.Store
	connection string
}

func openOnDisk(t *testing.T, dir string, fn framework.WebhookFunc, change ...func(*Config)) *onDisk {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Clock: func() time.Time { return start }})
	require.NoError(t, err)
	c, err := s.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "hooks", Connector: "acme", Type: "source", Enabled: true})
	require.NoError(t, err)
	list := targets(t, bind(t, fn))
	for i := range list {
		list[i].ConnectionID = c.ID
	}
	table := &Table{}
	table.Replace(list)
	config := Config{Targets: table, Store: s, Now: func() time.Time { return start }}
	for _, set := range change {
		set(&config)
	}
	h, err := New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return &onDisk{h, s, c.ID}
}

func (d *onDisk) events(t *testing.T) []ingest.Event {
	t.Helper()
	events, err := d.store.Events(t.Context(), d.connection, orders.Key(), 0, 1000)
	require.NoError(t, err)
	return events
}

func (d *onDisk) stored(t *testing.T, dead bool) []store.StoredDelivery {
	t.Helper()
	rows, err := d.store.StoredDeliveries(t.Context(), d.connection, dead, start.Add(1000*time.Hour), 100)
	require.NoError(t, err)
	return rows
}

// Three intakes take the same delivery 200 times each, at once. They share one
// store: a SQLite file has one process, and a second one is refused (which a test
// of the store shows); several processes share PostgreSQL, where this is repeated.
func TestOneDeliverySentAtOnceByManyIsRecordedOnce(t *testing.T) {
	t.Parallel()
	// The event's key differs each time, so only the delivery's key keeps them apart.
	var calls atomic.Int64
	d := openOnDisk(t, t.TempDir(), func(_ context.Context, _ *framework.Delivery, out *ingest.Buffer) error {
		n := calls.Add(1)
		return ingest.Canonical(out, orders, "order", []byte(`{}`), ingest.Options{IdempotencyKey: ingest.EventKey(fmt.Sprint("call", n))})
	}, func(c *Config) { c.MaxHandlers = 300 })
	intakes := []http.Handler{d}
	for range 2 {
		h, err := New(d.config)
		require.NoError(t, err)
		intakes = append(intakes, h)
	}
	const senders = 200
	var (
		answers = make(chan answerBody, senders*len(intakes))
		wait    sync.WaitGroup
		begin   = make(chan struct{})
	)
	for _, h := range intakes {
		for range senders {
			wait.Go(func() {
				<-begin
				// What finds no room is sent again, as its sender does.
				w := serve(h, request(t, "github", "d1", order("o1")))
				for w.Code == http.StatusServiceUnavailable {
					w = serve(h, request(t, "github", "d1", order("o1")))
				}
				answers <- said(t, w)
			})
		}
	}
	close(begin)
	wait.Wait()
	close(answers)
	events := d.events(t)
	require.Len(t, events, 1)
	counts := map[string]int{}
	for a := range answers {
		counts[a.Status]++
		if a.Status == "duplicate" {
			require.Equal(t, events[0].ID, a.First)
		}
	}
	require.Equal(t, map[string]int{"accepted": 1, "duplicate": 3*senders - 1}, counts)
}

func TestTheSameEventInTwoDeliveriesIsRecordedOnce(t *testing.T) {
	t.Parallel()
	d := openOnDisk(t, t.TempDir(), emitOrder)
	first := said(t, serve(d, request(t, "github", "d1", order("o1"))))
	require.Equal(t, 1, *first.Events)
	second := said(t, serve(d, request(t, "github", "d2", order("o1"))))
	require.Equal(t, "accepted", second.Status)
	require.Zero(t, *second.Events)
	require.Len(t, d.events(t), 1)
	require.Equal(t, string(order("o1")), string(d.events(t)[0].Payload))
	status, err := d.store.Statuses(t.Context(), d.connection)
	require.NoError(t, err)
	require.Len(t, status, 1)
	require.EqualValues(t, 1, status[0].Duplicates)
	require.WithinDuration(t, start, status[0].LastSuccessAt, 0)
}

func TestAStoredDeliveryIsHandledAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	failing := openOnDisk(t, dir, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider })
	kept := said(t, serve(failing, request(t, "github", "d1", order("o1"))))
	require.Equal(t, "stored", kept.Status)
	status, err := failing.store.Statuses(t.Context(), failing.connection)
	require.NoError(t, err)
	require.Equal(t, errProvider.Error(), status[0].LastError)
	require.Equal(t, 1, status[0].ConsecutiveFailures)
	require.NoError(t, failing.store.Close())

	healed := openOnDisk(t, dir, emitOrder, func(c *Config) { c.Now = func() time.Time { return start.Add(time.Hour) } })
	require.Equal(t, failing.connection, healed.connection)
	rows := healed.stored(t, false)
	require.Len(t, rows, 1)
	require.Equal(t, kept.Delivery, rows[0].ID)
	require.Equal(t, order("o1"), rows[0].Body)
	_, err = healed.RetryDue(t.Context(), start.Add(time.Hour))
	require.NoError(t, err)
	events := healed.events(t)
	require.Len(t, events, 1)
	require.WithinDuration(t, start, events[0].Time, 0, "when the delivery came")
	require.Empty(t, healed.stored(t, false))
	status, err = healed.store.Statuses(t.Context(), healed.connection)
	require.NoError(t, err)
	require.Empty(t, status[0].LastError)

	// The provider sends it once more: it is known, with its event.
	again := said(t, serve(healed, request(t, "github", "d1", order("o1"))))
	require.Equal(t, "duplicate", again.Status)
}

func TestRefusalsLeaveNothingOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openOnDisk(t, dir, emitOrder)
	before := sizes(t, dir)
	require.NotEmpty(t, before)
	for i := range 3000 {
		r := request(t, "github", fmt.Sprint(i), order("o1"))
		r.Header.Set("X-Hub-Signature-256", "sha256=0")
		require.Equal(t, http.StatusUnauthorized, serve(d, r).Code)
	}
	require.Equal(t, before, sizes(t, dir), "the files have grown")
	require.Empty(t, d.events(t))
	require.Empty(t, d.stored(t, false))
	require.Empty(t, d.stored(t, true))
	// The refused id was not taken.
	require.Equal(t, "accepted", said(t, serve(d, request(t, "github", "7", order("o1")))).Status)
}

// sizes are those of the files of a folder.
func sizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	out := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		out[e.Name()] = info.Size()
	}
	return out
}

func TestAPermanentFailureIsKeptOnDiskAsADeadLetter(t *testing.T) {
	t.Parallel()
	d := openOnDisk(t, t.TempDir(), emitOrder)
	require.Equal(t, "stored", said(t, serve(d, request(t, "github", "d1", []byte("no JSON")))).Status)
	rows := d.stored(t, true)
	require.Len(t, rows, 1)
	require.Equal(t, "no JSON", string(rows[0].Body))
	require.Contains(t, rows[0].LastError, "decode delivery")
	require.Empty(t, d.stored(t, false))
}
