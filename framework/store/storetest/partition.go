package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// partitions holds that what is recorded does not depend on how emissions are
// cut into units: what a unit says to itself equals what the database says.
var partitions = []contract{
	{"IntoUnitsDoNotChangeTheLog", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for seed := range uint64(12) {
			random := rand.New(rand.NewPCG(seed, 22)) // a failure names its seed
			var emissions []ingest.Emission
			for range 14 {
				emissions = append(emissions, anyEmission(random))
			}
			whole := b.recorded(t, fmt.Sprintf("whole-%d", seed), emissions, func() int { return len(emissions) })
			single := b.recorded(t, fmt.Sprintf("single-%d", seed), emissions, func() int { return 1 })
			mixed := b.recorded(t, fmt.Sprintf("mixed-%d", seed), emissions, func() int { return 1 + random.IntN(5) })
			require.Equal(t, single, whole, "seed %d", seed)
			require.Equal(t, single, mixed, "seed %d", seed)
		}
	}},
}

// anyEmission is one of few, so that entities, versions and times meet again.
func anyEmission(random *rand.Rand) ingest.Emission {
	entity, value := fmt.Sprint("e", random.IntN(2)), fmt.Sprint(random.IntN(3))
	var e ingest.Emission
	switch random.IntN(4) {
	case 0:
		e = emit("s", entity, value)
		e.Payload = []byte(value)
	case 1:
		e = fact("s", value)
	default:
		e = latest("s", entity, value)
	}
	if random.IntN(5) == 0 && e.Key.Entity() != "" {
		e.Operation, e.Payload = ingest.Deletion, nil
	}
	if random.IntN(3) > 0 {
		e.Time = start.Add(time.Duration(random.IntN(4)) * time.Second)
	}
	return e
}

// recorded commits the emissions to a new connection, cut into units of the
// given sizes, and returns its log and what the receipts said.
func (b *bundle) recorded(t *testing.T, name string, emissions []ingest.Emission, size func() int) (log []string) {
	t.Helper()
	b.con = b.connection(t, name)
	for left := emissions; len(left) > 0; {
		n := min(size(), len(left))
		r := b.commit(t, b.unit(left[:n]...))
		require.Equal(t, n, r.Appended+r.Duplicates)
		for _, e := range r.Events {
			log = append(log, fmt.Sprintf("receipt %d %t", e.Sequence, e.Duplicate))
		}
		for i, e := range r.Events {
			require.Equal(t, b.idOf(t, e), e.ID, "receipt of %v", left[i])
		}
		left = left[n:]
	}
	for _, e := range b.events(t, "s") {
		log = append(log, fmt.Sprintf("event %d %s %s %t %s %s", e.Sequence, e.Operation, e.Key, e.Late, e.Time, e.Payload))
	}
	status := b.status(t, "s")
	return append(log, fmt.Sprintf("status %d %d", status.Head, status.Duplicates))
}

// idOf is the id of the event that a receipt names by its sequence.
func (b *bundle) idOf(t *testing.T, r store.EventReceipt) string {
	t.Helper()
	list, err := b.Events(t.Context(), b.con.ID, "s", r.Sequence-1, 1)
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0].ID
}
