package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

var keys = []contract{
	{"AppendOneEventForAKeyTwiceInAUnit", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		r := b.commit(t, b.unit(emit("s", "a", "1"), emit("s", "a", "1"), fact("s", "x"), fact("s", "x")))
		require.Equal(t, 2, r.Appended)
		require.Equal(t, 2, r.Duplicates)
		require.Equal(t, r.Events[0].ID, r.Events[1].ID)
		require.Equal(t, r.Events[2].Sequence, r.Events[3].Sequence)
		require.True(t, r.Events[1].Duplicate)
	}},
	{"AreRememberedAcrossUnitsAndReopening", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		first := b.commit(t, b.unit(emit("s", "a", "1"), fact("s", "x")))
		for range 2 {
			again := b.commit(t, b.unit(emit("s", "a", "1"), fact("s", "x")))
			require.Equal(t, 2, again.Duplicates)
			for i, e := range again.Events {
				require.Equal(t, store.EventReceipt{ID: first.Events[i].ID, Sequence: first.Events[i].Sequence, Duplicate: true}, e)
			}
			b.reopen(t)
		}
		require.Len(t, b.events(t, "s"), 2)
		status := b.status(t, "s")
		require.Equal(t, int64(2), status.Head)
		require.Equal(t, int64(4), status.Duplicates)
	}},
	{"AreRememberedUnderConcurrency", sameKeyConcurrently},
	{"InOppositeOrdersAreRecordedOnce", oppositeOrders},
	{"BelongToOneStreamOfOneConnection", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.connection(t, "other")
		ids := map[string]bool{}
		for _, u := range []store.Unit{b.unit(fact("s", "x")), b.unit(fact("r", "x")), b.unit(fact("s", "x"))} {
			if len(ids) == 2 {
				u.ConnectionID = other.ID
			}
			r := b.commit(t, u)
			require.Equal(t, 1, r.Appended)
			require.Equal(t, int64(1), r.Events[0].Sequence)
			ids[r.Events[0].ID] = true
		}
		require.Len(t, ids, 3)
		theirs, err := b.Events(t.Context(), other.ID, "s", 0, 10)
		require.NoError(t, err)
		require.Len(t, theirs, 1)
		require.Equal(t, "other", theirs[0].Connection)
		require.Len(t, b.events(t, "s"), 1)
	}},
	{"WithVersionsTellUpdateAndReversalApart", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for i, version := range []string{"1", "2", "3"} {
			b.commit(t, b.unit(at(emit("s", "a", version), time.Duration(i)*time.Second)))
		}
		gone := at(ingest.Emission{Stream: "s", Type: "customer", Operation: ingest.Deletion, Key: ingest.VersionKey("a", "4")}, 4*time.Second)
		b.commit(t, b.unit(gone))
		b.commit(t, b.unit(at(emit("s", "a", "5"), 5*time.Second)))
		require.Equal(t, 1, b.commit(t, b.unit(gone)).Duplicates)
		events := b.events(t, "s")
		require.Len(t, events, 5)
		require.Equal(t, ingest.Deletion, events[3].Operation)
		require.Nil(t, events[3].Payload)
		require.Equal(t, "a", events[3].Subject)
	}},
	{"OfEscapedPartsStayApart", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		r := b.commit(t, b.unit(emit("s", "a/b", "c"), emit("s", "a", "b/c"), emit("s", "a%2fb", "c"), fact("s", "ünï/ço")))
		require.Equal(t, 4, r.Appended)
	}},
	{"ToTheLatestSkipOnlyTheSamePayloadAsTheNewest", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		const a, c = `{"v":"a"}`, `{"v":"c"}`
		r := b.commit(t, b.unit(latest("s", "x", a), latest("s", "x", c), latest("s", "x", a)))
		require.Equal(t, 3, r.Appended, "a change and its reversal are three events")
		r = b.commit(t, b.unit(latest("s", "y", a), latest("s", "y", a)))
		require.Equal(t, 1, r.Appended)
		require.Equal(t, r.Events[0].ID, r.Events[1].ID)
		b.reopen(t)
		r = b.commit(t, b.unit(latest("s", "x", a), latest("s", "y", a), latest("s", "y", c), latest("s", "y", a)))
		require.Equal(t, []bool{true, true, false, false},
			[]bool{r.Events[0].Duplicate, r.Events[1].Duplicate, r.Events[2].Duplicate, r.Events[3].Duplicate})
		require.Equal(t, b.events(t, "s")[2].ID, r.Events[0].ID)
	}},
	{"ToTheLatestTellDeletionAndCreationAgainApart", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		gone := ingest.Emission{Stream: "s", Type: "customer", Operation: ingest.Deletion, Key: ingest.LatestKey("x")}
		for range 2 {
			r := b.commit(t, b.unit(latest("s", "x", `{}`), gone, gone, latest("s", "x", `{}`)))
			require.False(t, r.Events[1].Duplicate)
			require.True(t, r.Events[2].Duplicate)
			require.False(t, r.Events[3].Duplicate)
		}
		require.Len(t, b.events(t, "s"), 5)
	}},
	{"ToTheLatestCompareWithVersionedEventsToo", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		versioned := emit("s", "x", "1")
		first := b.commit(t, b.unit(versioned))
		r := b.commit(t, b.unit(latest("s", "x", string(versioned.Payload)), emit("s", "y", "1"), latest("s", "y", string(emit("s", "y", "1").Payload))))
		require.Equal(t, 2, r.Duplicates)
		require.Equal(t, first.Events[0].ID, r.Events[0].ID)
		require.Equal(t, r.Events[1].ID, r.Events[2].ID)
	}},
	{"OfLateEventsLeaveTheNewestVersion", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(at(emit("s", "x", "2"), 2*time.Second)))
		r := b.commit(t, b.unit(at(emit("s", "x", "1"), time.Second), at(emit("s", "x", "2b"), 2*time.Second), at(emit("s", "y", "0"), 0)))
		require.Equal(t, 3, r.Appended)
		events := b.events(t, "s")
		require.Equal(t, []bool{false, true, false, false}, []bool{events[0].Late, events[1].Late, events[2].Late, events[3].Late})
		r = b.commit(t, b.unit(at(latest("s", "x", string(emit("s", "x", "2b").Payload)), 3*time.Second)))
		require.Equal(t, 1, r.Duplicates, "the late event replaced the newest version")
	}},
	{"OfLateEventsAreKnownWithinAUnit", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(at(emit("s", "x", "3"), 3*time.Second), at(emit("s", "x", "1"), time.Second), at(emit("s", "x", "2"), 2*time.Second)))
		events := b.events(t, "s")
		require.Equal(t, []bool{false, true, true}, []bool{events[0].Late, events[1].Late, events[2].Late})
	}},
	{"ToTheLatestRecordAStateThatCameLateBefore", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		const a, c = `"a"`, `"c"`
		b.commit(t, b.unit(at(latest("s", "x", a), 5*time.Second)))
		require.Equal(t, 1, b.commit(t, b.unit(at(latest("s", "x", c), 3*time.Second))).Appended)
		require.Equal(t, 1, b.commit(t, b.unit(at(latest("s", "x", c), 3*time.Second))).Duplicates, "the late event was recorded twice")
		r := b.commit(t, b.unit(at(latest("s", "x", c), 6*time.Second)))
		require.Equal(t, 1, r.Appended, "the entity changed to what had come late, and nobody was told")
		events := b.events(t, "s")
		require.Equal(t, []bool{false, true, false}, []bool{events[0].Late, events[1].Late, events[2].Late})
		// Both within one unit, for an entity not known before.
		r = b.commit(t, b.unit(at(latest("s", "z", a), 5*time.Second), at(latest("s", "z", c), 3*time.Second),
			at(latest("s", "z", c), 3*time.Second), at(latest("s", "z", c), 6*time.Second)))
		require.Equal(t, 3, r.Appended)
		require.True(t, r.Events[2].Duplicate)
	}},
}

// oppositeOrders commits the same keys from two sides at once, first to last and
// last to first.
func oppositeOrders(t *testing.T, h Harness) {
	const count = 40
	b := setup(t, h, Settings{})
	var writing sync.WaitGroup
	for side := range 2 {
		writing.Go(func() {
			for i := range count {
				at := i
				if side == 1 {
					at = count - 1 - i
				}
				u := b.unit(fact("r", fmt.Sprint(at)), emit("s", fmt.Sprint(at), "1"))
				if side == 1 {
					slices.Reverse(u.Emissions)
				}
				if _, err := b.Commit(t.Context(), u); err != nil {
					t.Errorf("side %d: %v", side, err)
				}
			}
		})
	}
	writing.Wait()
	for _, stream := range []string{"r", "s"} {
		subjects := map[string]bool{}
		for i, e := range b.events(t, stream) {
			require.Equal(t, int64(i+1), e.Sequence)
			subjects[e.Subject] = true
		}
		require.Len(t, subjects, count)
		status := b.status(t, stream)
		require.Equal(t, []int64{count, count}, []int64{status.Head, status.Duplicates})
	}
}

// sameKeyConcurrently commits one key from many goroutines at once.
func sameKeyConcurrently(t *testing.T, h Harness) {
	const writers = 16
	b := setup(t, h, Settings{})
	type result struct {
		receipt store.Receipt
		err     error
	}
	results := make(chan result, writers)
	for range writers {
		u := b.unit(emit("s", "a", "1"), latest("s", "b", `1`))
		go func() {
			r, err := b.Commit(t.Context(), u)
			results <- result{r, err}
		}()
	}
	appended := 0
	for range writers {
		r := <-results
		require.NoError(t, r.err)
		appended += r.receipt.Appended
		require.Equal(t, int64(1), r.receipt.Events[0].Sequence)
		require.Equal(t, int64(2), r.receipt.Events[1].Sequence)
	}
	require.Equal(t, 2, appended)
	require.Len(t, b.events(t, "s"), 2)
}
