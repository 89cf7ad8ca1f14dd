package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReportsOfSeveralProcessesAddUp(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	report := func(offset time.Duration, taken, refused int) Report {
		r := Report{Processes: 1, Answered: 1, Working: 1, MaxHandlers: 64, Counts: map[Verdict]int64{Accepted: int64(taken), Unverified: int64(refused)}}
		for i := range max(taken, refused) {
			at := noon.Add(offset - time.Duration(i)*time.Second)
			if i < taken {
				r.Recent = append(r.Recent, Recent{At: at, Verdict: Accepted})
			}
			if i < refused {
				r.Recent = append(r.Recent, Recent{At: at, Verdict: Unverified})
			}
		}
		return r
	}
	sum := report(0, 90, 15)
	other := report(500*time.Millisecond, 30, 10)
	other.Quarantined = true
	sum.Add(other)
	require.Equal(t, map[Verdict]int64{Accepted: 120, Unverified: 25}, sum.Counts)
	require.Equal(t, []int{2, 2, 2, 128}, []int{sum.Processes, sum.Answered, sum.Working, sum.MaxHandlers})
	require.True(t, sum.Quarantined)
	kept := map[Verdict]int{}
	for i, e := range sum.Recent {
		kept[e.Verdict]++
		require.False(t, i > 0 && e.At.After(sum.Recent[i-1].At), "not newest first")
	}
	require.Equal(t, map[Verdict]int{Accepted: recentTaken, Unverified: recentRefused}, kept, "a flood of one kind pushes the other out")
	require.Equal(t, noon.Add(500*time.Millisecond), sum.Recent[0].At)

	var empty Report
	empty.Add(other)
	require.Equal(t, other.Counts, empty.Counts)
}
