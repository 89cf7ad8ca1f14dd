package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// provider has a list of records and serves it in pages. What a page says
// differs each time it is read, so that recording a page twice shows, whatever
// the keys hide.
type provider struct {
	records  int
	pageSize int
	troubles []string // of the calls, in order; then none
	calls    int
}

func (p *provider) page(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
	p.calls++
	trouble := ""
	if p.calls <= len(p.troubles) {
		trouble = p.troubles[p.calls-1]
	}
	end := min(in.Cursor+p.pageSize, p.records)
	for i := in.Cursor; i < end; i++ {
		if trouble == "fails half-way" && i == in.Cursor+1 {
			return result{}, errors.New("connection reset")
		}
		if err := emit(out, pollStream("s"), fmt.Sprintf("%d/call %d", i, p.calls)); err != nil {
			return result{}, err
		}
	}
	switch trouble {
	case "fails":
		return result{}, errors.New("down")
	case "asks to wait":
		return result{}, framework.RetryAfter(errors.New("429"), time.Minute)
	case "panics":
		panic("boom")
	case "hangs":
		<-ctx.Done()
		return result{}, ctx.Err()
	case "grows":
		p.records++
	}
	return result{Cursor: end, HasMore: end < p.records}, nil
}

// storm draws what becomes of each commit: written and answered, refused,
// written and not answered, or the process dies before or after.
func storm(fates []string) func(m *memory) {
	n := 0
	fate := func() string {
		if n++; n <= len(fates) {
			return fates[n-1]
		}
		return ""
	}
	return func(m *memory) {
		dead, current := false, ""
		m.failWith(func(store.Unit) error {
			if dead {
				return store.ErrClosed
			}
			switch current = fate(); current {
			case "unavailable":
				return store.ErrUnavailable
			case "dies before":
				dead = true
				return store.ErrClosed
			}
			return nil
		}, func(store.Unit) error {
			switch current {
			case "uncertain":
				return context.DeadlineExceeded
			case "dies after":
				dead = true
				return store.ErrClosed
			}
			return nil
		})
	}
}

func TestEveryRecordIsRecordedExactlyOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := &provider{
			records:  rapid.IntRange(0, 30).Draw(rt, "records"),
			pageSize: rapid.IntRange(1, 7).Draw(rt, "page size"),
			troubles: rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "fails", "fails half-way", "asks to wait", "panics", "hangs", "grows"}), 0, 20).Draw(rt, "troubles"),
		}
		fates := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "", "unavailable", "uncertain", "dies before", "dies after"}), 0, 20).Draw(rt, "fates")
		stops := rapid.SliceOfN(rapid.IntRange(1, 600), 0, 4).Draw(rt, "seconds until a stop")
		turn := rapid.IntRange(1, 4).Draw(rt, "pages a turn")

		// rapid reads the real clock, so the bubble is inside of it.
		m := newMemory()
		synctest.Test(t, func(t *testing.T) { liveThrough(t, m, p, storm(fates), stops, turn, deaths(fates)) })

		var got []string
		for _, subject := range m.recorded("con_1", "s") {
			id, _, _ := strings.Cut(subject, "/")
			got = append(got, id)
		}
		require.Len(rt, got, p.records, "all records, and none twice")
		slices.Sort(got)
		require.Len(rt, slices.Compact(got), p.records, "none twice")
		if runs := m.history(); len(runs) > 0 {
			require.NotEqual(rt, store.RunRunning, runs[len(runs)-1].State, "the last run has ended")
		}
		require.Empty(rt, m.status("con_1", "s").LastError)
	})
}

// deaths counts the fates that end a process.
func deaths(fates []string) int {
	n := 0
	for _, f := range fates {
		if strings.HasPrefix(f, "dies") {
			n++
		}
	}
	return n
}

// liveThrough runs the provider's stream through as many lives of the process as
// it has troubles, and a last one without any.
func liveThrough(t *testing.T, m *memory, p *provider, breakStore func(*memory), stops []int, turn, deaths int) {
	lives := len(stops) + deaths + 1
	for life := range lives {
		m.reopen()
		lifetime := 40 * time.Minute
		switch {
		case life == lives-1:
			lifetime = 6 * time.Hour // more than all troubles take
		case life < len(stops):
			lifetime = time.Duration(stops[life]) * time.Second
			breakStore(m)
		default:
			breakStore(m)
		}
		r := newRig(t, m, Config{Limits: Limits{PagesPerTurn: turn}})
		r.add(r.stream("@every 10m", p.page))
		require.NoError(t, r.s.Start(t.Context()))
		pass(lifetime)
		_ = r.s.Stop(t.Context()) // that a page had to be canceled is part of the game
	}
}
