package storetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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
	{"AreSwappedOnlyWhereTheyAreStillOld", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		swap := func(old, value []byte) bool {
			swapped, err := b.SwapState(t.Context(), b.con.ID, "n", old, value)
			require.NoError(t, err)
			return swapped
		}
		require.False(t, swap([]byte("x"), []byte("y")), "there is none")
		require.True(t, swap(nil, []byte{}), "empty is something else than none")
		require.False(t, swap(nil, []byte("1")))
		require.True(t, swap([]byte{}, []byte("\x00\xff")))
		require.True(t, swap([]byte("lost answer"), []byte("\x00\xff")), "it has happened already")
		b.reopen(t)
		got, err := b.States(t.Context(), b.con.ID, "n")
		require.NoError(t, err)
		require.Equal(t, []byte("\x00\xff"), got[0].Value)
		require.True(t, swap([]byte("\x00\xff"), nil))
		require.True(t, swap(nil, nil))

		const many = 8
		var won atomic.Int32
		var work sync.WaitGroup
		for i := range many {
			work.Go(func() {
				swapped, err := b.SwapState(t.Context(), b.con.ID, "race", nil, []byte(fmt.Sprint(i)))
				if assert.NoError(t, err) && swapped {
					won.Add(1)
				}
			})
		}
		work.Wait()
		require.EqualValues(t, 1, won.Load(), "one of all that try at once")

		_, err = b.SwapState(t.Context(), "con_nobody", "n", nil, []byte("1"))
		require.ErrorIs(t, err, store.ErrNotFound)
		for name, value := range map[string][]byte{"": nil, strings.Repeat("n", 600): nil, "large": make([]byte, store.MaxStateBytes+1)} {
			_, err = b.SwapState(t.Context(), b.con.ID, name, nil, value)
			require.ErrorIs(t, err, store.ErrInvalid)
		}
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
