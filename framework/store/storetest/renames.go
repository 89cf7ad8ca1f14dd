package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func (b *bundle) rename(t *testing.T, declared ...store.DeclaredStream) store.Renames {
	t.Helper()
	r, err := b.RenameStreams(t.Context(), b.con.ID, declared)
	require.NoError(t, err)
	return r
}

func ids(events []ingest.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.ID)
	}
	return list
}

var renames = []contract{
	{"KeepEverythingOfAStream", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		written := []ingest.Emission{emit("s", "a", "1"), latest("s", "b", `{"v":1}`), fact("s", "f")}
		u := b.page(move("", "c1"), written...)
		u.Run = &store.RunWrite{Run: store.Run{ID: "run_1", Stream: "s", State: store.RunSucceeded, StartedAt: start}}
		alarm := store.Alarm{Kind: store.AlarmZeroEvents, Since: start, Runs: 14, Usual: 1}
		u.State = []store.StateWrite{store.AlarmWrite("s", &alarm), {Name: "backfill/1", Value: []byte("{}")}}
		first := b.commit(t, u)
		b.commit(t, b.unit(at(latest("s", "b", `{"v":0}`), -time.Hour))) // late
		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "s", true))
		before, saved := b.events(t, "s"), b.status(t, "s")

		require.Equal(t, []store.Rename{{From: "s", To: "new"}}, b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}}).Done)
		require.Empty(t, b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}}), "a rename is made once")

		for _, reopened := range []bool{false, true} {
			if reopened {
				b.reopen(t)
			}
			require.Empty(t, b.events(t, "s"))
			after := b.events(t, "new")
			require.Equal(t, ids(before), ids(after), "a rename changes no id")
			require.Equal(t, "new", after[0].Stream)
			status := b.status(t, "new")
			require.Equal(t, saved.Head, status.Head)
			require.Equal(t, saved.LastSuccessAt, status.LastSuccessAt)
			require.True(t, status.Paused)
			require.Zero(t, b.status(t, "s"))
			c, ok, err := b.Checkpoint(t.Context(), b.con.ID, "new", store.LaneLive)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, "c1", string(c.Cursor))
			require.Equal(t, "new", c.Stream)
			states, err := b.States(t.Context(), b.con.ID, "")
			require.NoError(t, err)
			require.Len(t, states, 2)
			stream, kept, ok := store.ReadAlarm(states[0])
			require.True(t, ok)
			require.Equal(t, "new", stream, "the alarm follows")
			require.Equal(t, alarm, kept)
			_, ok, err = b.Checkpoint(t.Context(), b.con.ID, "s", store.LaneLive)
			require.NoError(t, err)
			require.False(t, ok)
			runs, err := b.Runs(t.Context(), b.con.ID, "new", "", 10)
			require.NoError(t, err)
			require.Len(t, runs, 1)
			hourly, err := b.Hourly(t.Context(), b.con.ID, start.Add(-time.Hour))
			require.NoError(t, err)
			require.Equal(t, "new", hourly[0].Stream)

			var again []ingest.Emission
			for _, e := range append(written, at(latest("s", "b", `{"v":0}`), -time.Hour)) {
				e.Stream = "new"
				again = append(again, e)
			}
			r := b.commit(t, b.unit(again...))
			require.Zero(t, r.Appended, "what was recorded under the old key is known under the new one")
			for i := range written {
				require.Equal(t, first.Events[i].ID, r.Events[i].ID)
				require.Equal(t, first.Events[i].Sequence, r.Events[i].Sequence)
			}
			require.Equal(t, before[3].ID, r.Events[3].ID)
		}
		next := b.page(move(u.ID, "c2"), emit("new", "a", "2"), latest("new", "b", `{"v":2}`))
		next.Checkpoint.Stream = "new"
		r := b.commit(t, next)
		require.Equal(t, 2, r.Appended)
		require.Equal(t, r.Events[0].ID, b.events(t, "new")[4].ID)
	}},
	{"LetTheOldKeyNameAnotherStream", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(fact("s", "1")))
		b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}})
		renamed := b.rename(t, store.DeclaredStream{Key: "new"}, store.DeclaredStream{Key: "s"})
		require.Empty(t, renamed, "both keys are declared: the old one is free")
		r := b.commit(t, b.unit(fact("s", "1"), fact("new", "1")))
		require.Equal(t, 1, r.Appended)
		require.NotEqual(t, r.Events[0].ID, r.Events[1].ID, "ids of two streams never meet")
		require.Equal(t, r.Events[0].ID, b.events(t, "s")[0].ID)
		b.reopen(t)
		require.Equal(t, r.Events[0].ID, b.events(t, "s")[0].ID)
		again := b.commit(t, b.unit(fact("s", "1"), fact("new", "1")))
		require.Equal(t, 2, again.Duplicates)
		require.Equal(t, r.Events[0].ID, again.Events[0].ID)

		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "s2", true))
		b.commit(t, b.unit(fact("s2", "1")))
		b.rename(t, store.DeclaredStream{Key: "s3", Former: []string{"s2"}})
		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "s2", true))
		require.Empty(t, b.rename(t, store.DeclaredStream{Key: "s3"}, store.DeclaredStream{Key: "s2"}))
		b.commit(t, b.unit(fact("s2", "1")))
		require.NotEqual(t, b.events(t, "s3")[0].ID, b.events(t, "s2")[0].ID)
	}},
	{"AreKnownToOlderVersions", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.page(move("", "c1"), fact("s", "1")))
		b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}})
		// An older version that runs on: what it polled, and what was delivered to it.
		for _, u := range []store.Unit{
			b.page(move("c1", "c2"), fact("s", "2")), b.page(move("", "c2")), b.unit(fact("s", "2")),
			b.unit(fact("other", "1"), fact("s", "2")),
		} {
			_, err := b.Commit(t.Context(), u)
			require.ErrorIs(t, err, store.ErrRenamed)
			require.ErrorContains(t, err, `stream "s" is "new" now`)
		}
		require.Empty(t, b.events(t, "s"))
		require.Empty(t, b.events(t, "other"), "a unit is refused whole")
		require.Zero(t, b.status(t, "s"))
		b.reopen(t)
		old := b.rename(t, store.DeclaredStream{Key: "s"}, store.DeclaredStream{Key: "other"})
		require.Equal(t, store.Renames{Ahead: []store.Rename{{From: "s", To: "new"}}}, old)
		require.Len(t, b.events(t, "new"), 1, "an older version takes nothing back")
		// What such a version leaves behind, a failed run, hinders nobody.
		failed := b.unit()
		failed.Streams = []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "x"}}}
		b.commit(t, failed)
		require.NotEmpty(t, b.rename(t, store.DeclaredStream{Key: "s"}).Ahead)
		require.Empty(t, b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}}))
		_, err := b.Commit(t.Context(), b.unit(fact("s", "2")))
		require.ErrorIs(t, err, store.ErrRenamed)
		// The store keeps a delivery that came to nothing for it.
		kept := b.unit()
		kept.Keep = &store.StoredDelivery{ID: "dlv_1", Endpoint: "in", Key: "k", ReceivedAt: start, Header: []byte("{}"), Body: []byte("{}")}
		b.commit(t, kept)
		// A key that is declared again is another stream's.
		require.Empty(t, b.rename(t, store.DeclaredStream{Key: "new"}, store.DeclaredStream{Key: "s"}))
		require.Equal(t, 1, b.commit(t, b.unit(fact("s", "2"))).Appended)
	}},
	{"RaceWithThoseWhoWrite", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(fact("s", "0")))
		const writers, each = 4, 20
		var recorded atomic.Int64
		var wait sync.WaitGroup
		begun := make(chan struct{}, writers)
		for w := range writers {
			wait.Go(func() {
				for i := range each {
					if i == each/4 {
						begun <- struct{}{}
					}
					_, err := b.Commit(t.Context(), b.unit(fact("s", fmt.Sprint(w, "/", i))))
					if err == nil {
						recorded.Add(1)
					} else if !errors.Is(err, store.ErrRenamed) {
						t.Error(err)
					}
				}
			})
		}
		for range writers {
			<-begun
		}
		b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}})
		wait.Wait()
		require.Empty(t, b.events(t, "s"), "nobody begins a stream beside the renamed one")
		require.Len(t, b.events(t, "new"), int(recorded.Load())+1, "what was recorded is there, once")
	}},
	{"SkipVersionsThatNeverRan", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.page(move("", "c1"), fact("s", "1")))
		want := ids(b.events(t, "s"))
		now := store.DeclaredStream{Key: "u", Former: []string{"t", "s"}}
		require.Equal(t, store.Renames{Done: []store.Rename{{From: "s", To: "u"}}}, b.rename(t, now))
		require.Equal(t, want, ids(b.events(t, "u")))
		require.Empty(t, b.rename(t, now))
		// The version in between never ran here, and is older all the same.
		for _, older := range []store.DeclaredStream{{Key: "s"}, {Key: "t", Former: []string{"s"}}, {Key: "t"}} {
			require.Equal(t, store.Renames{Ahead: []store.Rename{{From: older.Key, To: "u"}}}, b.rename(t, older))
		}
		_, err := b.Commit(t.Context(), b.unit(fact("t", "2")))
		require.ErrorIs(t, err, store.ErrRenamed)

		// What has something is taken before what has nothing, and two that have
		// something are never mixed.
		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "e", true))
		b.commit(t, b.unit(fact("f", "1")))
		require.Equal(t, []store.Rename{{From: "f", To: "g"}}, b.rename(t, store.DeclaredStream{Key: "g", Former: []string{"e", "f"}}).Done)
		b.commit(t, b.unit(fact("h", "1"), fact("i", "1")))
		apart := b.rename(t, store.DeclaredStream{Key: "j", Former: []string{"h", "i"}})
		require.Equal(t, store.Renames{Done: []store.Rename{{From: "h", To: "j"}}, Apart: []store.Rename{{From: "i", To: "j"}}}, apart)
		require.Len(t, b.events(t, "j"), 1)
		require.Len(t, b.events(t, "i"), 1)
	}},
	{"MayFollowEachOther", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.page(move("", "c1"), fact("s", "1")))
		want := ids(b.events(t, "s"))
		b.rename(t, store.DeclaredStream{Key: "t", Former: []string{"s"}})
		b.rename(t, store.DeclaredStream{Key: "u", Former: []string{"t"}})
		require.Equal(t, want, ids(b.events(t, "u")))
		require.Len(t, b.rename(t, store.DeclaredStream{Key: "s"}).Ahead, 1)
		require.Len(t, b.rename(t, store.DeclaredStream{Key: "t"}).Ahead, 1)
		b.rename(t, store.DeclaredStream{Key: "s", Former: []string{"u"}})
		require.Equal(t, want, ids(b.events(t, "s")))
		require.Empty(t, b.rename(t, store.DeclaredStream{Key: "s"}))
	}},
	{"NeverMixTwoStreams", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(fact("s", "1"), fact("new", "1")))
		apart := b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}})
		require.Equal(t, store.Renames{Apart: []store.Rename{{From: "s", To: "new"}}}, apart)
		require.Len(t, b.events(t, "s"), 1)

		// A new key that has nothing gives way.
		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "fresh", true))
		require.Len(t, b.rename(t, store.DeclaredStream{Key: "fresh", Former: []string{"s"}}).Done, 1)
		require.Len(t, b.events(t, "fresh"), 1)
		// A key that is still declared is nobody's former one.
		require.Empty(t, b.rename(t, store.DeclaredStream{Key: "x", Former: []string{"new"}}, store.DeclaredStream{Key: "new"}))
	}},
	{"StayWithinTheirConnection", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.connection(t, "other")
		b.commit(t, b.unit(fact("s", "1")))
		theirs := b.unit(fact("s", "1"))
		theirs.ConnectionID = other.ID
		b.commit(t, theirs)
		b.rename(t, store.DeclaredStream{Key: "new", Former: []string{"s"}})
		left, err := b.Events(t.Context(), other.ID, "s", 0, 10)
		require.NoError(t, err)
		require.Len(t, left, 1)
		_, err = b.RenameStreams(t.Context(), "con_unknown", nil)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, b.DeleteConnection(t.Context(), b.con.ID))
		require.NoError(t, h.Trim(t.Context(), b.Store))
		_, err = b.RenameStreams(t.Context(), b.con.ID, nil)
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
}
