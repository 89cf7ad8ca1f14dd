package intake

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRemembersTheLastDeliveriesOfAnEndpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	body := order("o1")
	taken := said(t, serve(f, request(t, "github", "d1", body)))
	f.advance(time.Second)
	serve(f, request(t, "github", "d1", body))
	f.advance(time.Second)
	bad := request(t, "github", "d2", body)
	bad.Header.Set("X-Hub-Signature-256", "sha256=0")
	serve(f, bad)
	f.advance(time.Second)
	serve(f, request(t, "github", "d3", []byte("{")))
	r, ok := f.Report(connectionID, "github")
	require.True(t, ok)
	require.Equal(t, map[Verdict]int64{Accepted: 1, Duplicate: 1, Unverified: 1, Dead: 1}, r.Counts)
	require.Len(t, r.Recent, 4)
	dead, refused, repeated, first := r.Recent[0], r.Recent[1], r.Recent[2], r.Recent[3]
	require.Equal(t, Dead, dead.Verdict)
	require.Contains(t, dead.Why, "decode delivery")
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.NotEmpty(t, refused.Why)
	require.Equal(t, taken.First, repeated.ID)
	require.NotEmpty(t, repeated.First)
	require.Equal(t, Recent{ID: taken.Delivery, At: start, Verdict: Accepted, Status: http.StatusOK, Bytes: len(body), Events: 1, Attempt: 1}, first)
	_, ok = f.Report(connectionID, "nothing")
	require.False(t, ok)
}

func TestAFloodOfRefusalsPushesNothingElseOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for i := range recentTaken + 30 {
		f.advance(time.Millisecond)
		serve(f, request(t, "github", fmt.Sprint(i), order(fmt.Sprint(i))))
	}
	for range 3 * recentRefused {
		f.advance(time.Millisecond)
		bad := request(t, "github", "x", order("x"))
		bad.Header.Set("X-Hub-Signature-256", "sha256=0")
		serve(f, bad)
	}
	r, _ := f.Report(connectionID, "github")
	require.EqualValues(t, 3*recentRefused, r.Counts[Unverified])
	counts := map[Verdict]int{}
	for i, e := range r.Recent {
		counts[e.Verdict]++
		require.True(t, i == 0 || !e.At.After(r.Recent[i-1].At), "newest first")
	}
	require.Equal(t, map[Verdict]int{Accepted: recentTaken, Unverified: recentRefused}, counts)
}
