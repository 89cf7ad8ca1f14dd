package intake

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// endless is a body that goes on for ever and counts what was read of it.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.read += int64(len(p))
	return len(p), nil
}

func TestReadsNoMoreThanOneByteOverTheLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for endpoint, limit := range map[string]int64{"small": 1000, "standard": 1 << 20, "github": 25 << 20} {
		body := &endless{}
		r := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/"+endpoint, body)
		r.ContentLength = -1
		r.Header.Set("X-Hub-Signature-256", "sha256=bad")
		require.Equal(t, http.StatusRequestEntityTooLarge, serve(f, r).Code, endpoint)
		require.Equal(t, limit+1, body.read, endpoint)
	}
	units, _, _ := f.store.counts()
	require.Zero(t, units)
	require.Zero(t, f.budget.used)
}

func TestRefusesALargeContentLengthWithoutReading(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	body := &endless{}
	r := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/small", body)
	r.ContentLength = 1001
	require.Equal(t, http.StatusRequestEntityTooLarge, serve(f, r).Code)
	require.Zero(t, body.read)
	require.Equal(t, []Verdict{TooLarge}, f.seen())
}

func TestAcceptsABodyOfExactlyTheLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for _, size := range []int{1000, 999} {
		body := append([]byte(`{"id":"`), bytes.Repeat([]byte("x"), size-9)...)
		body = append(body, `"}`...)
		for _, declared := range []int64{-1, int64(size)} {
			r := request(t, "small", "", body)
			r.ContentLength = declared
			require.Equal(t, http.StatusOK, serve(f, r).Code)
		}
	}
	r := request(t, "small", "", bytes.Repeat([]byte(" "), 1001))
	r.ContentLength = -1
	require.Equal(t, http.StatusRequestEntityTooLarge, serve(f, r).Code)
}

func TestDoesNotBelieveContentLengthForMemory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder, func(c *Config) { c.MaxInFlight = 64 << 10 })
	// 25 MiB are announced and never sent.
	r := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/github", bytes.NewReader([]byte("{}")))
	r.ContentLength = 25 << 20
	require.Equal(t, http.StatusUnauthorized, serve(f, r).Code)
}

func TestFloodedConnectionsLeaveMemoryForOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder, func(c *Config) { c.MaxInFlight = 1 << 20 })
	list := targets(t, bind(t, emitOrder))
	for _, name := range []string{"second", "third"} {
		for _, target := range targets(t, bind(t, emitOrder)) {
			target.Connection, target.ConnectionID = name, "con_"+name
			list = append(list, target)
		}
	}
	f.table.Replace(list)
	// Senders that stop in the middle of a body hold what they have sent.
	hold := func(connection string) (release func() int) {
		reader, writer := io.Pipe()
		code := make(chan int, 1)
		r := httptest.NewRequest(http.MethodPost, "/webhooks/"+connection+"/github", reader)
		go func() {
			answered := serve(f, r).Code
			_ = reader.Close() // as a server does with a body that is not read to its end
			code <- answered
		}()
		_, err := writer.Write(make([]byte, 100<<10)) // 128 KiB of memory
		if err != nil {
			return func() int { return <-code }
		}
		return func() int { _ = writer.Close(); return <-code }
	}
	flood := func(connection string) (held []func() int) {
		for range 20 {
			release := hold(connection)
			if f.full(connection) {
				require.Equal(t, http.StatusServiceUnavailable, release())
				return held
			}
			held = append(held, release)
		}
		t.Fatal("one connection took everything")
		return nil
	}
	first := flood("hooks")
	require.Len(t, first, 4, "half of all is for one connection")
	second := flood("second")
	require.Len(t, second, 2, "half of the rest is for the next")
	require.Equal(t, http.StatusUnauthorized, hold("third")(), "two floods have taken everything")
	for _, release := range append(first, second...) {
		require.Equal(t, http.StatusUnauthorized, release())
	}
	require.Zero(t, f.budget.used)
	require.Empty(t, f.budget.by)
	require.Contains(t, f.seen(), Busy)
}

// full reports that the last delivery of a connection was refused for its memory.
func (f *fixture) full(connection string) bool {
	id := map[string]string{"hooks": connectionID}[connection]
	r, _ := f.Report(cmp.Or(id, "con_"+connection), "github")
	return r.Counts[Busy] > 0
}
