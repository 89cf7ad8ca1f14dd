package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// FilledAt is the time that everything in a filled store happened at. A store
// that is opened later needs a clock near it, or what expires is gone.
func FilledAt() time.Time { return start }

// filledEmissions are those of a filled store: keys of every kind, entities that
// changed, went back and were deleted, late versions, payloads that must not be
// touched.
func filledEmissions() []ingest.Emission {
	gone := emit("customers", "cus_2", "3")
	gone.Operation, gone.Payload = ingest.Deletion, nil
	odd := fact("customers", "odd/ü %2f\t")
	odd.Payload = []byte("{ \"n\" : 9007199254740993, \"e\":1e400, \"s\":\"\\u0041\" }\n")
	large := fact("customers", "large")
	large.Payload = []byte(`"` + strings.Repeat("x", 20_000) + `"`)
	return []ingest.Emission{
		at(emit("customers", "cus_1", "1"), -3*time.Hour), at(emit("customers", "cus_1", "2"), -2*time.Hour),
		at(emit("customers", "cus_1", "1.5"), -150*time.Minute), // late
		emit("customers", "cus_2", "1"), gone,
		at(latest("orders", "o1", `{"a":1}`), -time.Hour), at(latest("orders", "o1", `{"a":2}`), -time.Minute),
		at(latest("orders", "o1", `{"a":1}`), 0), odd, large,
	}
}

// Fill puts a little of everything that the first schema can keep into a store
// that is empty.
func Fill(t testing.TB, s store.Store) {
	t.Helper()
	ctx := t.Context()
	ensure := func(project, name, connector string, enabled bool) store.Connection {
		c, err := s.EnsureConnection(ctx, store.Connection{Project: project, Name: name, Connector: connector, Type: "source", Enabled: enabled})
		require.NoError(t, err)
		return c
	}
	commit := func(u store.Unit) {
		u.ID, u.Epoch = store.NewCommitID(), Epoch(s, u.ConnectionID)
		if u.At.IsZero() {
			u.At = start
		}
		_, err := s.Commit(ctx, u)
		require.NoError(t, err)
	}
	acme := ensure("default", "acme", "stripe", true)
	other := ensure("eu", "acme", "github", false)
	next := start.Add(time.Hour)
	commit(store.Unit{
		ConnectionID: acme.ID, Emissions: filledEmissions(),
		Checkpoint: &store.CheckpointWrite{
			Stream: "customers", Lane: store.LaneLive, Cursor: []byte(`{"page":7}`), CursorVersion: 3, CursorDigest: "sha256:abc",
			From: start.Add(-time.Hour), To: start, WindowDone: start.Add(-time.Hour), RunID: "run_1",
		},
		Run: &store.RunWrite{Run: store.Run{
			ID: "run_1", Stream: "customers", Trigger: "schedule", State: store.RunSucceeded, StartedAt: start, FinishedAt: next,
		}, Pages: 3},
		Streams: []store.StreamWrite{{Stream: "customers", Succeeded: true, NextRunAt: &next}},
	})
	commit(store.Unit{
		ConnectionID: acme.ID, Checkpoint: &store.CheckpointWrite{Stream: "customers", Lane: "backfill", RunID: "run_2"},
		Run: &store.RunWrite{Run: store.Run{
			ID: "run_2", Stream: "orders", Trigger: "manual", State: store.RunFailed, StartedAt: start, FinishedAt: next,
			Error: "no answer", ErrorClass: "transient", Stack: "main.go:1",
		}},
		Streams: []store.StreamWrite{{Stream: "orders", Failure: &store.Failure{Error: "no answer", Class: "transient"}}},
	})
	// Again: only duplicates.
	commit(store.Unit{ConnectionID: acme.ID, Emissions: filledEmissions()[:2], At: start.Add(time.Hour)})
	commit(store.Unit{
		ConnectionID: other.ID, Emissions: []ingest.Emission{fact("issues", "i1")},
		Reserve: &store.DeliveryKey{Endpoint: "github", Key: "guid-1", DeliveryID: "dlv_1"},
	})
	commit(store.Unit{ConnectionID: other.ID, Keep: &store.StoredDelivery{
		ID: "dlv_2", Endpoint: "github", Key: "guid-2", ReceivedAt: start, Header: []byte(`{"X-A":["b"]}`), Body: []byte("\x00raw\xff"),
		Attempts: 2, NextAttemptAt: next, LastError: "handler failed",
	}})
	commit(store.Unit{ConnectionID: other.ID, Keep: &store.StoredDelivery{
		ID: "dlv_3", Endpoint: "github", ReceivedAt: start, Body: []byte{}, Attempts: 9, Dead: true, LastError: "gave up",
	}})
	require.NoError(t, s.SetPaused(ctx, other.ID, "issues", true))
	gone := ensure("default", "gone", "stripe", true)
	commit(store.Unit{ConnectionID: gone.ID, Emissions: []ingest.Emission{fact("customers", "1")}})
	require.NoError(t, s.DeleteConnection(ctx, gone.ID))
}

// CheckFilled holds s, which may have been migrated, copied or restored, against
// what [Fill] put into it. Then it goes on writing, to see that the memory of
// keys, entities and checkpoints came with the rest.
func CheckFilled(t testing.TB, s store.Store) {
	t.Helper()
	ctx := t.Context()
	list, err := s.Connections(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2)
	acme, other := list[0], list[1]
	require.Equal(t, []any{"default", "acme", "stripe", true}, []any{acme.Project, acme.Name, acme.Connector, acme.Enabled})
	require.Equal(t, []any{"eu", "acme", "github", false}, []any{other.Project, other.Name, other.Connector, other.Enabled})
	require.False(t, acme.CreatedAt.IsZero())
	checkFilledEvents(t, s, acme, other)
	checkFilledState(t, s, acme, other)

	again, err := s.Commit(ctx, store.Unit{ID: store.NewCommitID(), ConnectionID: acme.ID, Epoch: Epoch(s, acme.ID), At: start, Emissions: filledEmissions()[:5]})
	require.NoError(t, err)
	require.Equal(t, 5, again.Duplicates, "the memory of keys")
	known, err := s.Commit(ctx, store.Unit{
		ID: store.NewCommitID(), ConnectionID: other.ID, Epoch: Epoch(s, other.ID), At: start,
		Reserve: &store.DeliveryKey{Endpoint: "github", Key: "guid-1", DeliveryID: "dlv_9"},
	})
	require.NoError(t, err)
	require.True(t, known.DuplicateDelivery, "the memory of deliveries")
	saved, ok, err := s.Checkpoint(ctx, acme.ID, "customers", store.LaneLive)
	require.NoError(t, err)
	require.True(t, ok)
	r, err := s.Commit(ctx, store.Unit{
		ID: store.NewCommitID(), ConnectionID: acme.ID, Epoch: Epoch(s, acme.ID), At: start.Add(2 * time.Hour),
		Emissions: []ingest.Emission{
			at(latest("orders", "o1", `{"a":1}`), time.Hour), at(latest("orders", "o1", `{"a":2}`), time.Hour), emit("customers", "cus_3", "1"),
		},
		Checkpoint: &store.CheckpointWrite{Stream: "customers", Lane: store.LaneLive, Previous: saved.CommitID, Cursor: []byte(`8`)},
	})
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, false}, []bool{r.Events[0].Duplicate, r.Events[1].Duplicate, r.Events[2].Duplicate})
	require.Equal(t, []int64{3, 4, 8}, []int64{r.Events[0].Sequence, r.Events[1].Sequence, r.Events[2].Sequence})
	// What is made now must not take the number of something that was there before.
	made, err := s.EnsureConnection(ctx, store.Connection{Project: "default", Name: "new", Connector: "stripe", Type: "source"})
	require.NoError(t, err)
	r, err = s.Commit(ctx, store.Unit{
		ID: store.NewCommitID(), ConnectionID: made.ID, Epoch: Epoch(s, made.ID), At: start, Emissions: []ingest.Emission{fact("customers", "1"), fact("orders", "1")},
	})
	require.NoError(t, err)
	require.Equal(t, 2, r.Appended)
	require.Equal(t, []int64{1, 1}, []int64{r.Events[0].Sequence, r.Events[1].Sequence})
	left, err := s.Events(ctx, acme.ID, "customers", 0, 100)
	require.NoError(t, err)
	require.Len(t, left, 8)
}

func checkFilledEvents(t testing.TB, s store.Store, acme, other store.Connection) {
	t.Helper()
	var want []string
	for _, e := range filledEmissions() {
		want = append(want, fmt.Sprint(e.Stream, e.Type, e.Key.Subject(), e.Operation, string(e.Payload)))
	}
	var got []string
	var late []int64
	for _, stream := range []string{"customers", "orders"} {
		events, err := s.Events(t.Context(), acme.ID, stream, 0, 100)
		require.NoError(t, err)
		for i, e := range events {
			require.Equal(t, int64(i+1), e.Sequence)
			require.Equal(t, ingest.EventID(acme.ID, stream, e.Key), e.ID)
			require.Equal(t, start, e.RecordedAt)
			got = append(got, fmt.Sprint(e.Stream, e.Type, e.Subject, e.Operation, string(e.Payload)))
			if e.Late {
				late = append(late, e.Sequence)
			}
			if e.Subject == "cus_1" && e.Sequence == 1 {
				require.Equal(t, start.Add(-3*time.Hour), e.Time)
			}
			if e.Operation == ingest.Deletion {
				require.Nil(t, e.Payload, "no payload is not an empty one")
			}
		}
	}
	require.ElementsMatch(t, want, got)
	require.Equal(t, []int64{3}, late)
	events, err := s.Events(t.Context(), other.ID, "issues", 0, 100)
	require.NoError(t, err)
	require.Len(t, events, 1)
}

func checkFilledState(t testing.TB, s store.Store, acme, other store.Connection) {
	t.Helper()
	ctx := t.Context()
	next := start.Add(time.Hour)
	statuses, err := s.Statuses(ctx, acme.ID)
	require.NoError(t, err)
	require.Len(t, statuses, 2)
	require.Equal(t, store.StreamStatus{
		ConnectionID: acme.ID, Stream: "customers", Head: 7, Duplicates: 2, LastSuccessAt: start, NextRunAt: next,
	}, statuses[0])
	require.Equal(t, store.StreamStatus{
		ConnectionID: acme.ID, Stream: "orders", Head: 3, LastError: "no answer", LastErrorClass: "transient", LastErrorAt: start, ConsecutiveFailures: 1,
	}, statuses[1])
	statuses, err = s.Statuses(ctx, other.ID)
	require.NoError(t, err)
	require.True(t, statuses[0].Paused)

	saved, ok, err := s.Checkpoint(ctx, acme.ID, "customers", store.LaneLive)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, store.CheckpointWrite{
		Stream: "customers", Lane: store.LaneLive, Cursor: []byte(`{"page":7}`), CursorVersion: 3, CursorDigest: "sha256:abc",
		From: start.Add(-time.Hour), To: start, WindowDone: start.Add(-time.Hour), RunID: "run_1",
	}, saved.CheckpointWrite)
	_, ok, err = s.Checkpoint(ctx, acme.ID, "customers", "backfill")
	require.NoError(t, err)
	require.True(t, ok)

	run, err := s.Run(ctx, "run_1")
	require.NoError(t, err)
	require.Equal(t, store.Run{
		ID: "run_1", ConnectionID: acme.ID, Stream: "customers", Trigger: "schedule", State: store.RunSucceeded, StartedAt: start, FinishedAt: next,
		Pages: 3, Events: 10,
	}, run)
	run, err = s.Run(ctx, "run_2")
	require.NoError(t, err)
	require.Equal(t, []string{"failed", "no answer", "transient", "main.go:1"}, []string{string(run.State), run.Error, run.ErrorClass, run.Stack})
	hourly, err := s.Hourly(ctx, acme.ID, start.Add(-24*time.Hour))
	require.NoError(t, err)
	hour := start.Truncate(time.Hour)
	require.Equal(t, []store.HourlyCount{
		{ConnectionID: acme.ID, Stream: "customers", Hour: hour, Events: 7, Runs: 1},
		{ConnectionID: acme.ID, Stream: "customers", Hour: hour.Add(time.Hour), Duplicates: 2},
		{ConnectionID: acme.ID, Stream: "orders", Hour: hour, Events: 3, Runs: 1, Failures: 1},
	}, hourly)

	waiting, err := s.StoredDeliveries(ctx, other.ID, false, next, 10)
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, []any{"dlv_2", "github", "guid-2", 2, "handler failed", "\x00raw\xff", `{"X-A":["b"]}`}, []any{
		waiting[0].ID, waiting[0].Endpoint, waiting[0].Key, waiting[0].Attempts, waiting[0].LastError, string(waiting[0].Body), string(waiting[0].Header),
	})
	require.Equal(t, []time.Time{start, next}, []time.Time{waiting[0].ReceivedAt, waiting[0].NextAttemptAt})
	dead, err := s.StoredDeliveries(ctx, other.ID, true, next, 10)
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, []any{"dlv_3", "", 9, "gave up"}, []any{dead[0].ID, dead[0].Key, dead[0].Attempts, dead[0].LastError})
}
