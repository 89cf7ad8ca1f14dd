package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

func (b *bundle) state(t *testing.T, writes ...store.StateWrite) {
	t.Helper()
	u := b.unit()
	u.State = writes
	b.commit(t, u)
}

var states = []contract{
	{"AreReplacedAndRemovedByName", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.connection(t, "other")
		b.state(t, store.StateWrite{Name: "budget/api", Value: []byte("\x00\xff")}, store.StateWrite{Name: "backfill/1", Value: []byte("{}")},
			store.StateWrite{Name: "backfill%2", Value: []byte("x")}, store.StateWrite{Name: "empty", Value: []byte{}})
		u := b.unit()
		u.ConnectionID, u.State = other.ID, []store.StateWrite{{Name: "budget/api", Value: []byte("theirs")}}
		b.commit(t, u)
		b.state(t, store.StateWrite{Name: "budget/api", Value: []byte("2")}, store.StateWrite{Name: "backfill/1"}, store.StateWrite{Name: "never was"})
		b.reopen(t)

		got, err := b.States(t.Context(), b.con.ID, "")
		require.NoError(t, err)
		require.Equal(t, []store.State{
			{ConnectionID: b.con.ID, Name: "backfill%2", Value: []byte("x"), UpdatedAt: start},
			{ConnectionID: b.con.ID, Name: "budget/api", Value: []byte("2"), UpdatedAt: start},
			{ConnectionID: b.con.ID, Name: "empty", Value: []byte{}, UpdatedAt: start},
		}, got)
		got, err = b.States(t.Context(), "", "budget/")
		require.NoError(t, err)
		require.Len(t, got, 2)
		got, err = b.States(t.Context(), b.con.ID, "backfill/")
		require.NoError(t, err)
		require.Empty(t, got)
		all, err := b.States(t.Context(), "", "")
		require.NoError(t, err)
		got, err = b.StatesOf(t.Context(), []string{other.ID, b.con.ID, "con_unknown"}, "")
		require.NoError(t, err)
		require.Equal(t, all, got)
		got, err = b.StatesOf(t.Context(), []string{other.ID}, "budget/")
		require.NoError(t, err)
		require.Equal(t, []store.State{{ConnectionID: other.ID, Name: "budget/api", Value: []byte("theirs"), UpdatedAt: start}}, got)
		for _, none := range [][]string{nil, {}, {""}} {
			got, err = b.StatesOf(t.Context(), none, "")
			require.NoError(t, err)
			require.Empty(t, got)
		}
	}},
	{"AreFencedAndBoundToTheirUnit", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		u := b.unit(fact("s", "1"))
		u.Epoch++
		u.State = []store.StateWrite{{Name: "n", Value: []byte("stale")}}
		_, err := b.Commit(t.Context(), u)
		require.ErrorIs(t, err, store.ErrFenced)
		u = b.page(move("somebody else's", "c"))
		u.State = []store.StateWrite{{Name: "n", Value: []byte("conflict")}}
		_, err = b.Commit(t.Context(), u)
		require.ErrorIs(t, err, store.ErrConflict)
		u = b.unit()
		u.State = []store.StateWrite{{Name: strings.Repeat("n", 600), Value: make([]byte, store.MaxStateBytes+1)}}
		_, err = b.Commit(t.Context(), u)
		require.ErrorIs(t, err, store.ErrInvalid)
		got, err := b.States(t.Context(), b.con.ID, "")
		require.NoError(t, err)
		require.Empty(t, got)
	}},
	{"GoWithTheirConnection", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.state(t, store.StateWrite{Name: "n", Value: []byte("1")})
		require.NoError(t, b.DeleteConnection(t.Context(), b.con.ID))
		require.NoError(t, h.Trim(t.Context(), b.Store))
		b.con = b.connection(t, "acme")
		got, err := b.States(t.Context(), "", "")
		require.NoError(t, err)
		require.Empty(t, got)
	}},
	{"SuccessesRecordedLaterKeepTheirTimeAndCount", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		u := b.unit()
		u.Streams = []store.StreamWrite{{Stream: "s", Succeeded: true, At: start.Add(-3 * time.Second), Runs: 4}}
		b.commit(t, u)
		require.Equal(t, start.Add(-3*time.Second), b.status(t, "s").LastSuccessAt)
		u = b.unit()
		u.Streams = []store.StreamWrite{{Stream: "s", Succeeded: true, At: start.Add(-time.Hour), Runs: 1}}
		b.commit(t, u)
		require.Equal(t, start.Add(-3*time.Second), b.status(t, "s").LastSuccessAt)
		u = b.unit()
		u.Streams = []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "boom"}}}
		b.commit(t, u)
		u = b.unit()
		u.Streams = []store.StreamWrite{{Stream: "s", Succeeded: true, At: start.Add(-time.Second), NextRunAt: &time.Time{}, Runs: 1}}
		b.commit(t, u)
		require.Equal(t, 1, b.status(t, "s").ConsecutiveFailures, "a success from before the failure ends no row of failures")
		counts, err := b.Hourly(t.Context(), b.con.ID, start.Add(-2*time.Hour))
		require.NoError(t, err)
		require.Len(t, counts, 1)
		require.EqualValues(t, 6, counts[0].Runs)
	}},
}
