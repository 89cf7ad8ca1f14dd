package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Replay is a range of a stream that is delivered again beside what is new. The
// offset does not move by it, and its place survives restarts.
type Replay struct {
	// ID is "rpl_…".
	ID string `json:"id"`
	store.Source
	// Next is the next event to deliver, To the last one, and From the first.
	From int64 `json:"from"`
	Next int64 `json:"next"`
	To   int64 `json:"to"`
	// At is when it was asked for.
	At time.Time `json:"at"`
	// Canceled says that nothing more of it is sent.
	Canceled bool `json:"canceled,omitempty"`
}

// stateReplay is the prefix of the states of replays.
const stateReplay = "delivery/replay/"

// maxReplays is how many replays of a sink go on at once.
const maxReplays = 8

// Replay delivers the events of a stream from one sequence to another once more,
// both included. They must lie behind the sink's offset: what lies before it is
// delivered anyway.
func (e *Engine) Replay(ctx context.Context, connectionID string, source store.Source, from, to int64) (r Replay, err error) {
	err = e.change(ctx, connectionID, func(s *runner) error {
		l := s.laneOf(source)
		switch {
		case l == nil:
			return fmt.Errorf("replay: the sink does not read stream %q", source.Stream)
		case from < 1 || to < from:
			return fmt.Errorf("replay: %d to %d is no range", from, to)
		case from >= l.next:
			return fmt.Errorf("replay: %w: the sink has delivered nothing from %d on; its next event is %d", ErrState, from, l.next)
		case len(s.replays()) >= maxReplays:
			return fmt.Errorf("replay: %w: %d replays are going on, which is the limit; cancel one or wait", ErrState, maxReplays)
		}
		now := time.Now().UTC()
		r = Replay{ID: store.NewID("rpl_", now), Source: source, From: from, Next: from, To: min(to, l.next-1), At: now}
		s.replayLane(r)
		s.keep(stateReplay+r.ID, r)
		return nil
	})
	return r, err
}

// CancelReplay ends a replay after the requests that are on their way.
func (e *Engine) CancelReplay(ctx context.Context, connectionID, id string) error {
	return e.change(ctx, connectionID, func(s *runner) error {
		i := slices.IndexFunc(s.lanes, func(l *lane) bool { return l.replay != nil && l.replay.ID == id })
		if i < 0 {
			return fmt.Errorf("replay %s: %w: it is not going on", id, store.ErrNotFound)
		}
		l := s.lanes[i]
		l.replay.Canceled, l.dirty = true, true
		for _, w := range l.redo {
			for part := w; part != nil; part = part.then {
				for _, one := range part.entries {
					one.fate = skipped
				}
			}
			s.release(append(w.entries, w.whole...))
		}
		l.redo = nil
		for _, one := range l.window[min(l.undispatched, len(l.window)):] {
			if one.fate == waiting {
				one.fate = skipped
			}
		}
		l.head = l.read
		s.advance(l)
		return nil
	})
}

// replayLane adds the lane of a replay.
func (s *runner) replayLane(r Replay) {
	s.lanes = append(s.lanes, &lane{
		source: r.Source, next: r.Next, read: r.Next - 1, head: r.To, limit: chunkEvents, ahead: s.least(), begun: true, replay: &r,
	})
}

// loadReplay reads a replay that a process before has begun.
func (s *runner) loadReplay(value []byte) error {
	var r Replay
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	if s.bySource[r.Source] == nil || r.Canceled {
		s.keep(stateReplay+r.ID, nil) // the sink does not read that stream any more
		return nil
	}
	s.replayLane(r)
	return nil
}

// replays lists what is being delivered again, oldest first.
func (s *runner) replays() []Replay {
	out := []Replay{}
	for _, l := range s.lanes {
		if l.replay != nil {
			r := *l.replay
			r.Next = l.next
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Replay) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// over reports that a replay has nothing left to do.
func (l *lane) over() bool {
	return len(l.window) == 0 && len(l.redo) == 0 && l.inFlight == 0 && !l.reading && l.read >= l.head
}

// keepReplay has the next commit say how far a replay is, and counts what it has
// delivered where its stream is counted.
func (s *runner) keepReplay(l *lane) {
	if main := s.laneOf(l.source); main != nil {
		main.delivered += l.delivered
		main.dead += l.dead
		if !l.deliveredAt.IsZero() {
			main.deliveredAt, main.failure = l.deliveredAt, l.failure
		} else if l.failure != nil {
			main.failure = l.failure
		}
		main.dirty = true
	}
	l.dirty, l.delivered, l.dead, l.deliveredAt, l.failure = false, 0, 0, time.Time{}, nil
	r := *l.replay
	r.Next = l.next
	if !l.over() {
		s.keep(stateReplay+r.ID, r)
		return
	}
	s.keep(stateReplay+r.ID, nil)
	s.lanes = slices.DeleteFunc(s.lanes, func(other *lane) bool { return other == l })
	s.turn = 0
	s.log.Info("replay is done", "stream", l.source.Stream, "from", r.From, "to", r.To, "canceled", r.Canceled)
}

// isReplay reports whether a state is that of a replay.
func isReplay(name string) bool { return strings.HasPrefix(name, stateReplay) }
