package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// day is the unit that people keep things in.
const day = 24 * time.Hour

// aged opens a store whose clock is start, with events of the given ages in
// stream "s", oldest first, a day of its own for each run and hourly count.
func aged(t *testing.T, h Harness, ages ...time.Duration) *bundle {
	t.Helper()
	b := setup(t, h, Settings{Clock: func() time.Time { return start }})
	for i, age := range ages {
		u := b.unit(emit("s", fmt.Sprint(i+1), "1"), fact("s", fmt.Sprint(i+1)))
		u.At = start.Add(-age)
		u.Run = &store.RunWrite{Run: store.Run{
			ID: fmt.Sprintf("run_%d", i+1), Stream: "s", State: store.RunSucceeded, StartedAt: u.At, FinishedAt: u.At,
		}}
		u.Keep = &store.StoredDelivery{ID: fmt.Sprintf("dlv_%d", i+1), Endpoint: "e", ReceivedAt: u.At, Dead: true}
		b.commit(t, u)
	}
	return b
}

// keep sets the retention of the whole store and trims it.
func (b *bundle) keep(t *testing.T, p store.RetentionPolicy) {
	t.Helper()
	require.NoError(t, b.SetRetention(p))
	require.NoError(t, b.harness.Trim(t.Context(), b.Store))
}

// first is the first sequence of stream "s" that is kept.
func (b *bundle) first(t *testing.T) int64 {
	t.Helper()
	events, err := b.Events(t.Context(), b.con.ID, "s", -1, 10_000)
	require.NoError(t, err)
	if len(events) == 0 {
		return b.status(t, "s").Head + 1
	}
	return events[0].Sequence
}

var retained = []contract{
	{"KeepsEverythingUntilTold", func(t *testing.T, h Harness) {
		b := aged(t, h, 4000*day, day)
		require.NoError(t, h.Trim(t.Context(), b.Store))
		b.keep(t, store.RetentionPolicy{})
		require.Len(t, b.events(t, "s"), 4)
		_, err := b.Run(t.Context(), "run_1")
		require.NoError(t, err)
	}},
	{"OfEventsByAgeCutsTheBeginningOfAStream", func(t *testing.T, h Harness) {
		b := aged(t, h, 30*day, 10*day, 20*day, 5*day, day)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventAge: 15 * day}})
		require.Equal(t, int64(3), b.first(t), "an old event after a young one is kept: a stream has no holes")
		require.Equal(t, int64(10), b.status(t, "s").Head)
		r := b.commit(t, b.unit(emit("s", "1", "1"), fact("s", "1"), fact("s", "new")))
		require.Equal(t, 2, r.Duplicates, "keys outlive their events")
		require.Equal(t, int64(11), r.Events[2].Sequence)
	}},
	{"OfEventsLeavesKeysAndSequences", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{Clock: func() time.Time { return start }})
		u := b.unit(emit("s", "a", "1"), latest("s", "b", `1`), fact("s", "c"))
		u.At = start.Add(-2 * day)
		first := b.commit(t, u)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventAge: day}})
		require.Equal(t, int64(4), b.first(t))
		b.reopen(t)
		again := b.commit(t, b.unit(emit("s", "a", "1"), latest("s", "b", `1`), fact("s", "c"), fact("s", "d")))
		require.Equal(t, 3, again.Duplicates)
		for i := range 3 {
			require.Equal(t, first.Events[i].ID, again.Events[i].ID)
			require.Equal(t, first.Events[i].Sequence, again.Events[i].Sequence)
		}
		require.Equal(t, int64(4), again.Events[3].Sequence, "sequences must outlive the events too")
	}},
	{"OfEventsByCountKeepsTheNewest", func(t *testing.T, h Harness) {
		b := aged(t, h, 3*day, 2*day, day)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventCount: 2}})
		require.Equal(t, int64(5), b.first(t))
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventCount: 2, EventAge: time.Hour}})
		require.Equal(t, int64(7), b.first(t), "age and count each remove")
	}},
	{"OfManyEventsTakesManyTransactions", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{Clock: func() time.Time { return start }})
		u := b.unit()
		for i := range 2500 {
			u.Emissions = append(u.Emissions, fact("s", fmt.Sprint(i)))
		}
		b.commit(t, u)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventCount: 10}})
		require.Equal(t, int64(2491), b.first(t))
		b.reopen(t)
		require.Equal(t, int64(2491), b.first(t))
	}},
	{"TellsReadersThatComeTooLate", func(t *testing.T, h Harness) {
		b := aged(t, h, 3*day, 2*day, day)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventCount: 2}})
		for after := range int64(4) {
			_, err := b.Events(t.Context(), b.con.ID, "s", after, 1)
			var trimmed *ingest.TrimmedError
			require.ErrorAs(t, err, &trimmed, "after %d", after)
			require.Equal(t, ingest.TrimmedError{Stream: "s", After: after, First: 5}, *trimmed)
		}
		events, err := b.Events(t.Context(), b.con.ID, "s", 4, 10)
		require.NoError(t, err)
		require.Len(t, events, 2)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventAge: time.Hour}})
		_, err = b.Events(t.Context(), b.con.ID, "s", 5, 1)
		require.ErrorContains(t, err, `events 6 to 6 of stream "s" were removed by retention; read on after sequence 6`)
		for _, after := range []int64{-1, 6, 7} {
			events, err = b.Events(t.Context(), b.con.ID, "s", after, 10)
			require.NoError(t, err)
			require.Empty(t, events)
		}
	}},
	{"WaitsForReadersThatNeedMore", func(t *testing.T, h Harness) {
		b := aged(t, h, 3*day, 2*day, day)
		p := store.RetentionPolicy{
			Default: store.Retention{EventCount: 1},
			Needed: func(_ context.Context, connectionID, stream string) (int64, error) {
				require.Equal(t, []string{b.con.ID, "s"}, []string{connectionID, stream})
				return 4, nil
			},
		}
		b.keep(t, p)
		require.Equal(t, int64(4), b.first(t))
		failure := errors.New("offsets cannot be read")
		p.Needed = func(context.Context, string, string) (int64, error) { return 0, failure }
		require.NoError(t, b.SetRetention(p))
		require.ErrorIs(t, h.Trim(t.Context(), b.Store), failure)
		require.Equal(t, int64(4), b.first(t), "nothing is removed while nobody knows what is needed")
	}},
	{"IsThatOfTheConnection", func(t *testing.T, h Harness) {
		b := aged(t, h, 3*day, 2*day)
		other := b.connection(t, "other")
		theirs := b.unit(fact("s", "1"), fact("s", "2"))
		theirs.ConnectionID = other.ID
		b.commit(t, theirs)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventCount: 1}, Connections: map[string]store.Retention{b.con.ID: {EventCount: 3}}})
		require.Equal(t, int64(2), b.first(t))
		left, err := b.Events(t.Context(), other.ID, "s", -1, 10)
		require.NoError(t, err)
		require.Len(t, left, 1)
	}},
	{"OfRunsHoursAndDeadLettersIsByAge", func(t *testing.T, h Harness) {
		b := aged(t, h, 30*day, 20*day, 10*day)
		going := b.unit()
		going.Run = &store.RunWrite{Run: store.Run{ID: "run_0", Stream: "s", State: store.RunRunning, StartedAt: start.Add(-90 * day)}}
		going.Keep = &store.StoredDelivery{ID: "dlv_0", Endpoint: "e", ReceivedAt: start.Add(-90 * day), NextAttemptAt: start}
		b.commit(t, going)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{RunAge: 15 * day, HourlyAge: 25 * day, DeadLetterAge: 5 * day}})
		runs, err := b.Runs(t.Context(), b.con.ID, "s", "", 10)
		require.NoError(t, err)
		require.Len(t, runs, 2)
		require.Equal(t, []string{"run_3", "run_0"}, []string{runs[0].ID, runs[1].ID}, "a run that goes on is kept")
		hourly, err := b.Hourly(t.Context(), b.con.ID, time.Time{}.AddDate(1970, 0, 0))
		require.NoError(t, err)
		require.Len(t, hourly, 2)
		dead, err := b.StoredDeliveries(t.Context(), b.con.ID, true, start, 10)
		require.NoError(t, err)
		require.Empty(t, dead)
		waiting, err := b.StoredDeliveries(t.Context(), b.con.ID, false, start, 10)
		require.NoError(t, err)
		require.Len(t, waiting, 1, "a delivery that waits is kept")
		require.Equal(t, int64(1), b.first(t))
	}},
	{"OfKeysForgetsWhatIsOldAndNotTheNewestVersion", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{Clock: func() time.Time { return start }})
		old := b.unit(emit("s", "changed", "1"), emit("s", "same", "1"), fact("s", "old"), latest("s", "l", `1`))
		old.At = start.Add(-30 * day)
		b.commit(t, old)
		young := b.unit(emit("s", "changed", "2"), fact("s", "young"))
		young.At = start.Add(-day)
		b.commit(t, young)
		p := store.RetentionPolicy{Default: store.Retention{KeyAge: 10 * day}}
		b.keep(t, p)
		b.keep(t, p)
		r := b.commit(t, b.unit(
			emit("s", "same", "1"), emit("s", "changed", "2"), fact("s", "young"), latest("s", "l", `1`), // remembered
			emit("s", "changed", "1"), fact("s", "old"), // forgotten
		))
		var duplicates []bool
		for _, e := range r.Events {
			duplicates = append(duplicates, e.Duplicate)
		}
		require.Equal(t, []bool{true, true, true, true, false, false}, duplicates)
		require.Equal(t, int64(1), b.first(t), "events outlive their keys, where they are told to")
	}},
	{"OfKeysIsCountedAlsoWithoutEvents", func(t *testing.T, h Harness) {
		b := aged(t, h, 30*day, 20*day, day)
		b.keep(t, store.RetentionPolicy{Default: store.Retention{EventCount: 1, KeyAge: 10 * day}})
		r := b.commit(t, b.unit(fact("s", "1"), fact("s", "2"), fact("s", "3")))
		require.Equal(t, []bool{false, false, true}, []bool{r.Events[0].Duplicate, r.Events[1].Duplicate, r.Events[2].Duplicate})
	}},
	{"ThatIsNoneIsRefused", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		err := b.SetRetention(store.RetentionPolicy{
			Default:     store.Retention{EventAge: -1, EventCount: -1, RunAge: -1},
			Connections: map[string]store.Retention{"con_1": {KeyAge: 10 * day, HourlyAge: day}},
		})
		require.ErrorIs(t, err, store.ErrInvalid)
		for _, part := range []string{"age of events", "number of events", "age of runs", `connection "con_1"`, "hour longer than keys"} {
			require.ErrorContains(t, err, part)
		}
	}},
}
