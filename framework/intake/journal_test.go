package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// crash takes what a process has written so far, as a crash leaves it, and
// starts the next one.
func crash(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(path)) })
	require.NoError(t, os.WriteFile(path+".crashed", content, 0o600))
	require.NoError(t, os.Rename(path+".crashed", path))
}

func reopened(t *testing.T, path string) *journal { return reopenedWith(t, path, mapped) }

func reopenedWith(t *testing.T, path string, m mapper) *journal {
	t.Helper()
	j, err := openJournal(path, m)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.close() })
	return j
}

func TestADeliveryThatEndsTheProcessInItsFirstCallIsStoredNextTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(t.TempDir(), "journal")
	withJournal := func(c *Config) { c.Journal = path }
	calls := 0
	var first *onDisk
	dies := func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
		if d.Key == "poison" {
			calls++
			crash(t, path) // here the process dies, with all that it would still have written
			return first.store.Close()
		}
		return emitOrder(ctx, d, out)
	}
	first = openOnDisk(t, dir, dies, withJournal)
	require.Equal(t, "accepted", said(t, serve(first, request(t, "github", "other", order("other")))).Status)
	serve(first, request(t, "github", "poison", order("poison")))
	require.Equal(t, 1, calls)

	second := openOnDisk(t, dir, dies, withJournal)
	require.Equal(t, "stored", said(t, serve(second, request(t, "github", "poison", order("poison")))).Status)
	require.Equal(t, 1, calls, "the handler was called for the sender again")
	rows := second.stored(t, false)
	require.Len(t, rows, 1)
	require.Equal(t, 1, endings(rows[0].LastError), "the row goes on with the count")
	require.Equal(t, "accepted", said(t, serve(second, request(t, "github", "next", order("next")))).Status, "other deliveries are handled as ever")
	require.NoError(t, second.Close())
}

func TestAnEndpointThatEndsThreeProcessesIsQuarantinedUntilResumed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	calls := 0
	dies := func(context.Context, *framework.Delivery, *ingest.Buffer) error {
		calls++
		crash(t, path)
		return errProvider
	}
	withJournal := func(c *Config) { c.Journal = path }
	for life := range quarantineAfter {
		h := newFixture(t, dies, withJournal)
		r, _ := h.Report(connectionID, "github")
		require.False(t, r.Quarantined)
		serve(h, request(t, "github", fmt.Sprint(life), order("o")))
		require.Equal(t, life+1, calls)
	}
	h := newFixture(t, emitOrder, withJournal)
	require.Equal(t, "stored", said(t, serve(h, request(t, "github", "d", order("o")))).Status)
	row := h.store.row(t)
	require.True(t, row.Dead)
	require.Contains(t, row.LastError, "in quarantine")
	require.Equal(t, "accepted", said(t, serve(h, request(t, "stripe", "d", order("o")))).Status, "another endpoint has done nothing")
	// A stop on purpose does not end the quarantine; an operator does.
	require.NoError(t, h.Close())
	h = newFixture(t, emitOrder, withJournal)
	r, _ := h.Report(connectionID, "github")
	require.True(t, r.Quarantined)
	resumed, err := h.Resume(connectionID, "github")
	require.NoError(t, err)
	require.True(t, resumed)
	require.Equal(t, http.StatusOK, serve(h, request(t, "github", "e", order("e"))).Code)
	_, events, _ := h.store.counts()
	require.Equal(t, 1, events)
	require.NoError(t, h.Close())
	h = newFixture(t, emitOrder, withJournal)
	r, _ = h.Report(connectionID, "github")
	require.False(t, r.Quarantined)
	require.NoError(t, h.Close())
}

func TestABusyEndpointIsNotBlamedForTheCrashOfAnother(t *testing.T) {
	t.Parallel()
	refuse := func(*os.File, int) ([]byte, func() error, error) { return nil, nil, errors.ErrUnsupported }
	for name, m := range map[string]mapper{"mapped": mapped, "written": refuse} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "made", "journal")
			busy, culprit := markOf("busy"), markOf("culprit")
			for range quarantineAfter + 2 {
				j := reopenedWith(t, path, m)
				j.begin(busy, markOf("a"))()
				j.begin(busy, markOf("b"))
				if !j.quarantined(culprit) {
					j.begin(culprit, markOf("c"))
				}
				require.False(t, j.quarantined(busy))
				crash(t, path)
			}
			j := reopenedWith(t, path, m)
			require.True(t, j.quarantined(culprit))
			resumed, err := j.resume(culprit)
			require.NoError(t, err)
			require.True(t, resumed)
			require.NoError(t, j.close())
			j.begin(busy, markOf("after the stop"))()
			require.False(t, reopenedWith(t, path, m).quarantined(culprit))
		})
	}
}

func TestAStopForgetsWhatWasAtWork(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := reopened(t, path)
	end := j.begin(markOf("e"), markOf("d"))
	require.NoError(t, j.close())
	end() // a handler that was left behind returns after the stop
	require.NoError(t, j.close())
	require.False(t, reopened(t, path).suspect(markOf("d")))
	// A journal that is no journal is begun anew.
	require.NoError(t, os.WriteFile(path, []byte("what is this\x05\x03"), 0o600))
	j = reopened(t, path)
	j.begin(markOf("e"), markOf("d"))
	crash(t, path)
	require.True(t, reopened(t, path).suspect(markOf("d")))
}

func TestTheJournalIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := reopened(t, path)
	for i := range mostSlots {
		j.begin(markOf("e"), markOf(fmt.Sprint(i)))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(mostSlots*slotBytes))
	crash(t, path)
	require.LessOrEqual(t, len(reopened(t, path).suspects), mostSuspects)
}
