package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// sink makes the connection that delivers, with three events in stream s of the source.
func (b *bundle) sink(t *testing.T) (sink store.Connection, from store.Source) {
	t.Helper()
	sink, err := b.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "out", Connector: "http", Type: "sink", Enabled: true})
	require.NoError(t, err)
	b.commit(t, b.unit(fact("s", "1"), fact("s", "2"), fact("s", "3")))
	return sink, store.Source{ConnectionID: b.con.ID, Stream: "s"}
}

func (b *bundle) deliver(t *testing.T, sink store.Connection, w store.SinkWrite) {
	t.Helper()
	_, err := b.Commit(t.Context(), b.sinkUnit(sink, w))
	require.NoError(t, err)
}

func (b *bundle) sinkUnit(sink store.Connection, w store.SinkWrite) store.Unit {
	return store.Unit{ID: store.NewCommitID(), ConnectionID: sink.ID, Epoch: Epoch(b, sink.ID), At: start, Sink: &w}
}

func (b *bundle) offset(t *testing.T, sink store.Connection) store.Offset {
	t.Helper()
	list, err := b.Offsets(t.Context(), sink.ID)
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

func (b *bundle) parked(t *testing.T, sink store.Connection) []store.ParkedEvent {
	t.Helper()
	list, err := b.ParkedEvents(t.Context(), sink.ID, store.Position{}, 100)
	require.NoError(t, err)
	return list
}

func (b *bundle) letters(t *testing.T, which store.DeadEvents) []store.DeadEvent {
	t.Helper()
	list, err := b.DeadEvents(t.Context(), which, 100)
	require.NoError(t, err)
	return list
}

func letter(id string, at store.Position) store.DeadEvent {
	return store.DeadEvent{
		ID: id, Position: at, Event: []byte(`{"id":"evt_1"}`), Reason: "400 Bad Request", Attempts: 6, Status: 400,
		Request: []byte("POST /"), Response: []byte("\x00no\xff"), FirstAt: start.Add(-time.Hour), DeadAt: start,
	}
}

var sinks = []contract{
	{"HeadsAreThoseOfStreamsThatHaveEvents", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		_, from := b.sink(t)
		b.commit(t, b.unit(fact("t", "1")))
		gone := b.connection(t, "gone")
		theirs := b.unit(fact("s", "1"))
		theirs.ConnectionID = gone.ID
		b.commit(t, theirs)
		at := func(c store.Connection, stream string) store.Source {
			return store.Source{ConnectionID: c.ID, Stream: stream}
		}
		wanted := []store.Source{from, at(b.con, "none"), at(gone, "s"), {ConnectionID: "con_unknown", Stream: "s"}, {ConnectionID: "\xff", Stream: "\x00"}}
		got, err := b.Heads(t.Context(), wanted)
		require.NoError(t, err)
		require.ElementsMatch(t, []store.Hint{{Source: from, Head: 3}, {Source: at(gone, "s"), Head: 1}}, got)
		require.NoError(t, b.DeleteConnection(t.Context(), gone.ID))
		got, err = b.Heads(t.Context(), append(wanted, at(b.con, "t")))
		require.NoError(t, err)
		require.ElementsMatch(t, []store.Hint{{Source: from, Head: 3}, {Source: at(b.con, "t"), Head: 1}}, got)
		got, err = b.Heads(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, got)
	}},
	{"OffsetsMoveWithWhatTheyPass", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		second, third := store.Position{Source: from, Sequence: 2}, store.Position{Source: from, Sequence: 3}
		parked := store.ParkedEvent{Position: second, Attempts: 1, ParkedAt: start, NextAttemptAt: start.Add(time.Minute), LastError: "503\x00 \xff", Status: 503}
		b.deliver(t, sink, store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from, Next: 4, Delivered: 1, Dead: 1, DeliveredAt: start}},
			Park:    []store.ParkedEvent{parked}, Bury: []store.DeadEvent{letter("dlt_1", third)},
		})
		b.reopen(t)
		require.Equal(t, store.Offset{
			ConnectionID: sink.ID, Source: from, Next: 4, LowWater: 2, Parked: 1, Delivered: 1, Dead: 1, DeliveredAt: start, UpdatedAt: start,
		}, b.offset(t, sink))
		got := b.parked(t, sink)
		require.Len(t, got, 1)
		require.NotContains(t, got[0].LastError, "\x00")
		parked.LastError = got[0].LastError
		require.Equal(t, parked, got[0])
		want := letter("dlt_1", third)
		want.ConnectionID = sink.ID
		full, err := b.DeadEvent(t.Context(), sink.ID, "dlt_1")
		require.NoError(t, err)
		require.Equal(t, want, full)
		want.Event, want.Request, want.Response = nil, nil, nil
		require.Equal(t, []store.DeadEvent{want}, b.letters(t, store.DeadEvents{}))

		b.deliver(t, sink, store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from, Next: 4, Delivered: 1, DeliveredAt: start.Add(time.Second)}},
			Unpark:  []store.Position{second, third},
		})
		o := b.offset(t, sink)
		require.Equal(t, []int64{4, 4, 0, 2, 1}, []int64{o.Next, o.LowWater, o.Parked, o.Delivered, o.Dead})
		require.Empty(t, b.parked(t, sink))
	}},
	{"FailuresCountUntilADelivery", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		for range 2 {
			b.deliver(t, sink, store.SinkWrite{Offsets: []store.OffsetWrite{{Source: from, Next: 1, Failure: &store.Failure{Error: "refused"}}}})
		}
		b.deliver(t, sink, store.SinkWrite{Offsets: []store.OffsetWrite{{Source: from, Next: 1}}})
		o := b.offset(t, sink)
		require.Equal(t, []any{2, "refused", start}, []any{o.ConsecutiveFailures, o.LastError, o.LastErrorAt})
		b.deliver(t, sink, store.SinkWrite{Offsets: []store.OffsetWrite{
			{Source: from, Next: 2, Delivered: 1, DeliveredAt: start}, {Source: from, Next: 2, Failure: &store.Failure{Error: "again"}},
		}})
		o = b.offset(t, sink)
		require.Equal(t, []any{1, "again", start, int64(1)}, []any{o.ConsecutiveFailures, o.LastError, o.DeliveredAt, o.Delivered})
		b.deliver(t, sink, store.SinkWrite{Offsets: []store.OffsetWrite{{Source: from, Next: 3, Delivered: 1, DeliveredAt: start}}})
		o = b.offset(t, sink)
		require.Equal(t, []any{0, "", time.Time{}}, []any{o.ConsecutiveFailures, o.LastError, o.LastErrorAt})
	}},
	{"AreFencedAndChecked", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		stale := b.sinkUnit(sink, store.SinkWrite{Offsets: []store.OffsetWrite{{Source: from, Next: 4}}})
		stale.Epoch++
		_, err := b.Commit(t.Context(), stale)
		require.ErrorIs(t, err, store.ErrFenced)
		none := b.sinkUnit(sink, store.SinkWrite{})
		none.Epoch = 0
		_, err = b.Commit(t.Context(), none)
		require.ErrorIs(t, err, store.ErrFenced, "what a sink has done needs the lease")
		_, err = b.Commit(t.Context(), b.sinkUnit(sink, store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from}},
			Bury:    []store.DeadEvent{{Position: store.Position{Source: from}, Response: make([]byte, store.MaxResponseBytes+1)}},
		}))
		require.ErrorIs(t, err, store.ErrInvalid)
		for _, part := range []string{"the first sequence is 1", "id of a dead letter", "response of a dead letter"} {
			require.ErrorContains(t, err, part)
		}
		offsets, err := b.Offsets(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, offsets)
	}},
	{"DeadLettersAreListedRaisedAndDiscarded", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		w := store.SinkWrite{}
		for i, id := range []string{"dlt_1", "dlt_2", "dlt_3"} {
			one := letter(id, store.Position{Source: from, Sequence: int64(i + 1)})
			one.DeadAt = start.Add(time.Duration(i) * time.Minute)
			w.Bury = append(w.Bury, one)
		}
		b.deliver(t, sink, w)
		b.deliver(t, sink, store.SinkWrite{Bury: []store.DeadEvent{letter("dlt_1", store.Position{Source: from, Sequence: 3})}})
		ids := func(which store.DeadEvents) string {
			var out []string
			for _, d := range b.letters(t, which) {
				out = append(out, d.ID)
			}
			return strings.Join(out, " ")
		}
		require.Equal(t, "dlt_3 dlt_2 dlt_1", ids(store.DeadEvents{ConnectionID: sink.ID}))
		counts, err := b.DeadCounts(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, map[string]int64{sink.ID: 3}, counts)
		counts, err = b.DeadCounts(t.Context(), b.con.ID)
		require.NoError(t, err)
		require.Empty(t, counts)
		require.Equal(t, "dlt_1", ids(store.DeadEvents{Before: "dlt_2"}))
		require.Equal(t, "dlt_2", ids(store.DeadEvents{From: start.Add(time.Minute), To: start.Add(2 * time.Minute)}))
		require.Equal(t, "dlt_1 dlt_2 dlt_3", ids(store.DeadEvents{ConnectionID: sink.ID, OldestFirst: true}))
		require.Equal(t, "dlt_2 dlt_3", ids(store.DeadEvents{After: "dlt_1", OldestFirst: true}))
		require.Equal(t, "dlt_2", ids(store.DeadEvents{After: "dlt_1", Before: "dlt_3"}))
		for want, which := range map[int]store.DeadEvents{
			3: {ConnectionID: sink.ID, Source: from}, 2: {After: "dlt_1"}, 1: {From: start.Add(time.Minute), To: start.Add(2 * time.Minute)},
			0: {ConnectionID: b.con.ID},
		} {
			n, err := b.CountDeadEvents(t.Context(), which)
			require.NoError(t, err)
			require.Equal(t, want, n, which)
		}
		require.Empty(t, ids(store.DeadEvents{ConnectionID: b.con.ID}))
		require.Empty(t, ids(store.DeadEvents{Source: store.Source{Stream: "other"}}))
		require.Equal(t, int64(1), b.letters(t, store.DeadEvents{Before: "dlt_2"})[0].Sequence, "a known id is left alone")

		b.deliver(t, sink, store.SinkWrite{
			Raise:   []string{"dlt_1", "never was"},
			Park:    []store.ParkedEvent{{Position: store.Position{Source: from, Sequence: 1}, ParkedAt: start, NextAttemptAt: start, Event: []byte("edited")}},
			Discard: []store.Discarding{{ID: "dlt_2", Note: "not ours"}},
		})
		require.Equal(t, "dlt_3", ids(store.DeadEvents{}))
		require.Equal(t, "dlt_2", ids(store.DeadEvents{Discarded: true}))
		counts, err = b.DeadCounts(t.Context(), sink.ID)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{sink.ID: 1}, counts)
		require.Equal(t, "not ours", b.letters(t, store.DeadEvents{Discarded: true})[0].Note)
		require.Equal(t, "edited", string(b.parked(t, sink)[0].Event))
		_, err = b.DeadEvent(t.Context(), sink.ID, "dlt_1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = b.DeadEvent(t.Context(), b.con.ID, "dlt_2")
		require.ErrorIs(t, err, store.ErrNotFound, "the letter of another connection")
	}},
	{"FollowARenameOfTheirSource", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		at := store.Position{Source: from, Sequence: 1}
		b.deliver(t, sink, store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from, Next: 3}}, Bury: []store.DeadEvent{letter("dlt_1", at)},
			Park: []store.ParkedEvent{{Position: at, ParkedAt: start, NextAttemptAt: start}},
		})
		_, err := b.RenameStreams(t.Context(), b.con.ID, []store.DeclaredStream{{Key: "new", Former: []string{"s"}}})
		require.NoError(t, err)
		to := store.Source{ConnectionID: b.con.ID, Stream: "new"}
		require.Equal(t, to, b.offset(t, sink).Source)
		require.Equal(t, int64(3), b.offset(t, sink).Next)
		require.Equal(t, to, b.parked(t, sink)[0].Source)
		require.Equal(t, to, b.letters(t, store.DeadEvents{})[0].Source)

		// A process that knows only the old key writes of the same stream, also when
		// it left a row of that name behind.
		failed := b.unit()
		failed.Streams = []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "x"}}}
		b.commit(t, failed)
		next := store.Position{Source: from, Sequence: 2}
		b.deliver(t, sink, store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from, Next: 4}}, Bury: []store.DeadEvent{letter("dlt_2", next)}, Unpark: []store.Position{at},
			Park: []store.ParkedEvent{{Position: next, ParkedAt: start, NextAttemptAt: start}},
		})
		require.Equal(t, to, b.offset(t, sink).Source)
		require.Equal(t, int64(4), b.offset(t, sink).Next)
		parked := b.parked(t, sink)
		require.Len(t, parked, 1)
		require.Equal(t, store.Position{Source: to, Sequence: 2}, parked[0].Position)
		require.Equal(t, to, b.letters(t, store.DeadEvents{})[0].Source)
	}},
	{"GoWithTheirConnections", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		at := store.Position{Source: from, Sequence: 1}
		w := store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from, Next: 3}}, Bury: []store.DeadEvent{letter("dlt_1", at)},
			Park: []store.ParkedEvent{{Position: at, ParkedAt: start, NextAttemptAt: start}},
		}
		b.deliver(t, sink, w)
		// The source goes: offsets and parked events mean nothing any more, dead letters do.
		require.NoError(t, b.DeleteConnection(t.Context(), b.con.ID))
		for range 2 {
			offsets, err := b.Offsets(t.Context(), "")
			require.NoError(t, err)
			require.Empty(t, offsets)
			require.Empty(t, b.parked(t, sink))
			require.Len(t, b.letters(t, store.DeadEvents{}), 1)
			require.NoError(t, h.Trim(t.Context(), b.Store))
		}
		// What comes late for a source that is gone is left out, and harms nothing.
		b.deliver(t, sink, w)
		offsets, err := b.Offsets(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, offsets)
		require.NoError(t, b.DeleteConnection(t.Context(), sink.ID))
		require.NoError(t, h.Trim(t.Context(), b.Store))
		require.Empty(t, b.letters(t, store.DeadEvents{}))
	}},
	{"ParkedEventsAreReadInPagesByPosition", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		sink, from := b.sink(t)
		b.commit(t, b.unit([]ingest.Emission{fact("a", "1")}...))
		other := store.Source{ConnectionID: b.con.ID, Stream: "a"}
		var w store.SinkWrite
		for _, at := range []store.Position{{Source: from, Sequence: 3}, {Source: other, Sequence: 1}, {Source: from, Sequence: 1}} {
			w.Park = append(w.Park, store.ParkedEvent{Position: at, ParkedAt: start, NextAttemptAt: start})
		}
		b.deliver(t, sink, w)
		var got []store.Position
		after := store.Position{}
		for {
			page, err := b.ParkedEvents(t.Context(), sink.ID, after, 1)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			after = page[0].Position
			got = append(got, after)
		}
		require.Equal(t, []store.Position{{Source: other, Sequence: 1}, {Source: from, Sequence: 1}, {Source: from, Sequence: 3}}, got)
	}},
}
