package storetest

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

var sequences = []contract{
	{"StartAtOneAndHaveNoGaps", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		r := b.commit(t, b.unit(fact("s", "1"), fact("s", "2"), fact("other", "1")))
		require.Equal(t, []int64{1, 2, 1}, []int64{r.Events[0].Sequence, r.Events[1].Sequence, r.Events[2].Sequence})
		b.commit(t, b.unit(fact("s", "1"), fact("s", "3")))
		events := b.events(t, "s")
		require.Len(t, events, 3)
		for i, e := range events {
			require.Equal(t, int64(i+1), e.Sequence)
			require.Equal(t, "e/"+strconv.Itoa(i+1), e.Key)
		}
		require.Equal(t, int64(3), b.status(t, "s").Head)
	}},
	{"AreInCommitOrderForAReaderBesideEightWriters", commitOrder},
	{"ContinueAfterReopening", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(fact("s", "1")))
		b.reopen(t)
		r := b.commit(t, b.unit(fact("s", "1"), fact("s", "2")))
		require.True(t, r.Events[0].Duplicate)
		require.Equal(t, int64(1), r.Events[0].Sequence)
		require.Equal(t, int64(2), r.Events[1].Sequence)
	}},
	{"ArePagedByTheLastOneSeen", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		u := b.unit()
		for i := range 25 {
			u.Emissions = append(u.Emissions, fact("s", strconv.Itoa(i)))
		}
		b.commit(t, u)
		after, seen := int64(0), 0
		for {
			page, err := b.Events(t.Context(), b.con.ID, "s", after, 10)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				after++
				seen++
				require.Equal(t, after, e.Sequence)
			}
		}
		require.Equal(t, 25, seen)
	}},
	{"AreReadWithinABoundOfBytes", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		// Two fit into one read, and one is larger than any read.
		sizes := []int{7 << 20, 7 << 20, 0, 17 << 20, 1, 16 << 20, 2}
		for i, size := range sizes {
			u := b.unit()
			e := fact("s", strconv.Itoa(i))
			e.Payload = nil
			if size > 0 {
				e.Payload = bytes.Repeat([]byte("1"), size)
			}
			u.Emissions = append(u.Emissions, e)
			u.Reserve = &store.DeliveryKey{Endpoint: "e", Key: strconv.Itoa(i), DeliveryID: "dlv_" + strconv.Itoa(i)} // only a webhook may be so large
			b.commit(t, u)
		}
		var reads [][]int
		for after := int64(0); ; {
			page, err := b.Events(t.Context(), b.con.ID, "s", after, 100)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			var read []int
			for _, e := range page {
				after++
				require.Equal(t, after, e.Sequence)
				read = append(read, len(e.Payload))
			}
			reads = append(reads, read)
		}
		require.Equal(t, [][]int{{7 << 20, 7 << 20, 0}, {17 << 20}, {1}, {16 << 20}, {2}}, reads)
	}},
}

// commitOrder reads while eight writers write: whoever has seen sequence n has
// seen everything before it, for ever.
func commitOrder(t *testing.T, h Harness) {
	const writers, units = 8, 25
	b := setup(t, h, Settings{})
	var writing sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		writing.Go(func() {
			for i := range units {
				// Two streams a unit, named in both orders, so that locks taken
				// in the order of emissions would deadlock.
				first, second := "a", "b"
				if w%2 == 1 {
					first, second = second, first
				}
				id := fmt.Sprintf("%d-%d", w, i)
				if _, err := b.Commit(context.WithoutCancel(t.Context()), b.unit(fact(first, id), fact(second, id))); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writing.Wait()
		close(done)
	}()
	var seen []ingest.Event
	last := func() {
		page, err := b.Events(t.Context(), b.con.ID, "a", int64(len(seen)), 1000)
		require.NoError(t, err)
		for _, e := range page {
			require.Equal(t, int64(len(seen)+1), e.Sequence, "a reader saw a gap")
			seen = append(seen, e)
		}
	}
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		last()
	}
	close(errs)
	require.NoError(t, <-errs)
	require.Len(t, seen, writers*units)
	require.Equal(t, seen, b.events(t, "a"), "what a reader saw changed afterwards")
	next := map[string]int{}
	for _, e := range seen {
		var w, i int
		_, err := fmt.Sscanf(e.Subject, "%d-%d", &w, &i)
		require.NoError(t, err)
		require.Equal(t, next[strconv.Itoa(w)], i, "units of one writer are out of order")
		next[strconv.Itoa(w)]++
	}
}
