package delivery

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// TestNothingIsLostAndOrderIsKept lets sinks of every kind fail, crash, be cut off
// from the store and be fenced, at random, and then lets everything succeed. Every
// event was then delivered or is a dead letter, the offset is at the end, nothing
// is parked, and what was promised of the order held all the time.
func TestNothingIsLostAndOrderIsKept(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		// One bubble a story: rapid's own goroutine must not be in it.
		plan := drawPlan(rt)
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = plan.play(t) })
		if failure != "" {
			rt.Fatalf("%s", failure)
		}
	})
}

// plan is one story.
type plan struct {
	spec   sink.Spec
	policy string
	steps  []step
}

type step struct {
	record string
	// answers are what batches with an entity get: a status, 0 for no answer.
	answers map[string]int
	sleep   time.Duration
	act     string
}

func drawPlan(t *rapid.T) plan {
	p := plan{
		spec: sink.Spec{
			Order:    rapid.SampledFrom([]sink.Order{sink.Ordered, sink.PerKey, sink.Unordered}).Draw(t, "order"),
			InFlight: rapid.IntRange(1, 4).Draw(t, "in flight"),
			Batch:    sink.Batch{MaxEvents: rapid.SampledFrom([]int{1, 1, 3, 10}).Draw(t, "batch"), Wait: 50 * time.Millisecond},
		},
		policy: rapid.SampledFrom([]string{"standard", "drop", "stop"}).Draw(t, "policy"),
	}
	for range rapid.IntRange(2, 12).Draw(t, "steps") {
		s := step{
			record:  rapid.StringMatching(`[abcdu]{0,8}`).Draw(t, "record"),
			answers: map[string]int{},
			sleep:   time.Duration(rapid.SampledFrom([]int{1, 20, 150, 3000, 90_000}).Draw(t, "sleep")) * time.Millisecond,
			act:     rapid.SampledFrom([]string{"", "", "crash", "restart", "refuse", "resume"}).Draw(t, "act"),
		}
		for _, entity := range []string{"a", "b", "c"} {
			s.answers[entity] = rapid.SampledFrom([]int{200, 200, 200, 500, 503, 422, 0}).Draw(t, "answer")
		}
		p.steps = append(p.steps, s)
	}
	return p
}

func (p plan) play(t *testing.T) (failure string) {
	m := newMemory()
	// Each process has a receiver of its own: what two of them send at the same
	// time, one of which does not know yet that it is fenced, has no order.
	var processes []*receiver
	spec := p.spec
	type answering func([]*sink.Message) sink.Answer
	var answers atomic.Pointer[answering]
	answer := func(f answering) { answers.Store(&f) }
	begin := func() *Engine {
		r := &receiver{delay: 3 * time.Millisecond}
		r.answers(func(batch []*sink.Message) sink.Answer { return (*answers.Load())(batch) })
		processes = append(processes, r)
		spec.Sender = r
		return startEngine(t, m, spec, orders)
	}
	switch p.policy {
	case "standard":
		spec.Policy = sink.Standard{MaxAttempts: 4, Base: time.Second, Random: func() float64 { return 0.9 }}
	case "drop":
		spec.Policy = sink.Strategy{Backoff: []time.Duration{time.Second, 10 * time.Second}}
	case "stop":
		spec.Policy = sink.Strategy{Backoff: []time.Duration{time.Second}, Strategy: sink.StopTask}
	}
	answer(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 200} })
	e := begin()
	var fenced []*Engine
	for _, s := range p.steps {
		answer(func(batch []*sink.Message) sink.Answer {
			for _, one := range batch {
				if status, ok := s.answers[one.Event.Subject]; ok && status != 200 {
					if status == 0 {
						return sink.Answer{Err: errors.New("no answer")}
					}
					return sink.Answer{Status: status}
				}
			}
			return sink.Answer{Status: 200}
		})
		for _, entity := range s.record {
			name := string(entity)
			if name == "u" {
				name = "unwanted"
			}
			e.Wake(orders.ConnectionID, orders.Stream, m.record(orders, name))
		}
		settle(s.sleep)
		switch s.act {
		case "crash":
			// The old process knows nothing of it until it commits.
			m.mu.Lock()
			m.epoch++
			m.mu.Unlock()
			fenced = append(fenced, e)
			e = begin()
		case "restart":
			stop(t, e)
			e = begin()
		case "refuse":
			m.mu.Lock()
			m.refuse = store.ErrUnavailable
			m.mu.Unlock()
			settle(300 * time.Millisecond)
			m.mu.Lock()
			m.refuse = nil
			m.mu.Unlock()
		case "resume":
			require.NoError(t, e.Resume(t.Context(), sinkID))
		}
	}
	answer(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 200} })
	settle(time.Second)
	require.NoError(t, e.Resume(t.Context(), sinkID))
	settle(3 * time.Hour)
	stop(t, e)
	for _, old := range fenced {
		stop(t, old)
	}
	return p.check(m, processes)
}

func (p plan) check(m *memory, processes []*receiver) string {
	events := m.events[orders]
	if next := m.offset(orders).Next; len(events) > 0 && next != int64(len(events)+1) {
		return fmt.Sprintf("the offset is %d of %d events", next, len(events))
	}
	if n := m.rows(); n > 0 {
		return fmt.Sprintf("%d events are still parked", n)
	}
	got := map[string]bool{}
	for _, r := range processes {
		last := map[string]int64{}
		for _, name := range r.received() {
			got[name] = true
			at := strings.IndexAny(name, "0123456789")
			sequence, err := strconv.ParseInt(name[at:], 10, 64)
			if err != nil {
				return err.Error()
			}
			key := map[sink.Order]string{sink.Ordered: "all", sink.PerKey: name[:at]}[p.spec.Order]
			if key != "" && sequence <= last[key] {
				return fmt.Sprintf("%s came after a later event: %s", name, strings.Join(r.received(), " "))
			}
			last[key] = sequence
		}
	}
	dead := map[int64]bool{}
	for _, letter := range m.letters() {
		dead[letter.Sequence] = true
	}
	for _, event := range events {
		name := fmt.Sprintf("%s%d", event.Subject, event.Sequence)
		wanted := event.Subject != "unwanted"
		if !wanted && (got[name] || dead[event.Sequence]) {
			return name + " was not wanted"
		}
		if wanted && !got[name] && !dead[event.Sequence] {
			return fmt.Sprintf("%s is lost; got %v, dead %v", name, got, dead)
		}
	}
	return ""
}
