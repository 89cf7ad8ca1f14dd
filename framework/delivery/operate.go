package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// Snapshot is what a sink is doing.
type Snapshot struct {
	State    State
	Order    sink.Order
	InFlight int
	Parked   int
	// BreakerUntil is when the next probe of the endpoint may leave; zero while
	// the breaker is closed.
	BreakerUntil time.Time
	// FailingSince is when the endpoint began to fail; zero while it does not.
	FailingSince time.Time
	// Recent are the last attempts, newest first.
	Recent []Recent
	// Streams are those that it reads now, and Replays the ranges that are
	// delivered again.
	Streams []Progress
	Replays []Replay
	// Redeliveries are those of many dead letters that go on, the first at work.
	Redeliveries []Redelivery
}

// Progress is where a sink is in a stream, as its process knows it.
type Progress struct {
	store.Source
	// Next is the next event to pass, Head the last one that is known of.
	Next, Head int64
}

// Snapshot says what a sink of this process is doing.
func (e *Engine) Snapshot(ctx context.Context, connectionID string) (snapshot Snapshot, err error) {
	err = e.ask(ctx, connectionID, func(s *runner) error {
		snapshot = Snapshot{
			State: s.state, Order: s.Order, InFlight: s.inFlight, Parked: s.parked.len(), BreakerUntil: s.breaker.until,
			FailingSince: s.failingFrom, Recent: s.recent.newest(), Streams: []Progress{}, Replays: s.replays(),
			Redeliveries: []Redelivery{},
		}
		for _, r := range s.redeliveries {
			snapshot.Redeliveries = append(snapshot.Redeliveries, *r)
		}
		for _, l := range s.lanes {
			if l.replay == nil {
				snapshot.Streams = append(snapshot.Streams, Progress{l.source, l.next, l.head})
			}
		}
		return nil
	})
	return snapshot, err
}

// ask has f done by the sink's goroutine.
func (e *Engine) ask(ctx context.Context, connectionID string, f func(*runner) error) error {
	s, err := e.find(connectionID)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	s.post(func() { done <- f(s) })
	select {
	case err := <-done:
		return err
	case <-s.ended:
		return fmt.Errorf("connection %s: %w", connectionID, ErrUnknownSink)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change is ask, and waits until what f has changed is in the store.
func (e *Engine) change(ctx context.Context, connectionID string, f func(*runner) error) error {
	saved := make(chan error, 1)
	err := e.ask(ctx, connectionID, func(s *runner) error {
		if err := f(s); err != nil {
			return err
		}
		s.waiters = append(s.waiters, saved)
		s.committed = time.Time{}
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case err := <-saved:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause lets a sink wait until it is resumed, also after a restart of the process.
func (e *Engine) Pause(ctx context.Context, connectionID string) error {
	return e.become(ctx, connectionID, StatePaused)
}

// Halt is Pause, and lets offsets be changed.
func (e *Engine) Halt(ctx context.Context, connectionID string) error {
	return e.become(ctx, connectionID, StateStopped)
}

// Resume goes on, also after a failure: the event that failed is tried again.
func (e *Engine) Resume(ctx context.Context, connectionID string) error {
	return e.become(ctx, connectionID, StateRunning)
}

func (e *Engine) become(ctx context.Context, connectionID string, c Condition) error {
	return e.change(ctx, connectionID, func(s *runner) error {
		if s.state.Condition != c {
			s.become(c, "")
		}
		return nil
	})
}

// Seek moves the offset of a stopped sink in one stream: next is the sequence of
// the next event to deliver. What is parked stays parked.
func (e *Engine) Seek(ctx context.Context, connectionID string, source store.Source, next int64) error {
	if next < 1 {
		return fmt.Errorf("move offset: %d is no sequence; the first is 1", next)
	}
	return e.change(ctx, connectionID, func(s *runner) error {
		l := s.laneOf(source)
		switch {
		case l == nil:
			return fmt.Errorf("move offset: the sink does not read stream %q", source.Stream)
		case s.state.Condition != StateStopped:
			return fmt.Errorf("move offset: %w: it is %s; stop the sink first", ErrState, s.state.Condition)
		case l.inFlight > 0 || l.reading:
			return fmt.Errorf("move offset: %w: requests are still on their way; try again in a moment", ErrState)
		}
		for _, w := range l.redo {
			s.unhold(w)
		}
		for at := range s.queued {
			if at.lane == l {
				delete(s.queued, at)
				delete(s.busyKeys, at)
			}
		}
		s.holds(l, -l.bytes)
		l.window, l.redo, l.undispatched = nil, nil, 0
		l.next, l.read, l.fresh, l.dirty, l.begun = next, next-1, true, true, true
		return nil
	})
}

// raised is a dead letter that is parked again, with its entity.
type raised struct {
	store.DeadEvent

	key string
}

// Redeliver parks dead letters again, due one after the other every so often,
// with what edit makes of each event; a nil edit leaves them as they are. It
// returns how many it has parked. All are held in memory; [Engine.RedeliverAll] is
// for many.
func (e *Engine) Redeliver(ctx context.Context, connectionID string, ids []string, every time.Duration, edit func(payload []byte) []byte) (int, error) {
	var letters []raised
	size := 0
	tooLarge := func(held int) error {
		return fmt.Errorf("redeliver: %w: dead letters of more than %d MiB (%d MiB of earlier ones are on their way); name fewer, or a range of sequences",
			ErrState, maxCopied>>20, held>>20)
	}
	for _, id := range ids {
		letter, err := e.config.Store.DeadEvent(ctx, connectionID, id)
		if errors.Is(err, store.ErrNotFound) && len(ids) > 1 {
			continue // somebody has settled it since it was listed
		}
		if err != nil {
			return 0, fmt.Errorf("redeliver: %w", err)
		}
		if len(letter.Event) == 0 {
			return 0, fmt.Errorf("redeliver %s: %w: its event was erased", id, ErrState)
		}
		event, err := DecodeEvent(letter.Event)
		if err != nil {
			return 0, fmt.Errorf("redeliver %s: %w", id, err)
		}
		if edit != nil {
			event.Payload = edit(event.Payload)
			if letter.Event, err = EncodeEvent(event); err != nil {
				return 0, fmt.Errorf("redeliver %s: %w", id, err)
			}
		}
		letters = append(letters, raised{letter, event.Subject})
		if size += len(letter.Event); size > maxCopied {
			return 0, tooLarge(0)
		}
	}
	count := 0
	err := e.change(ctx, connectionID, func(s *runner) error {
		if s.parked.len()+len(letters) > maxParked {
			return fmt.Errorf("redeliver: %w: %d events are parked already, and the limit is %d", ErrState, s.parked.len(), maxParked)
		}
		if s.parked.bytes+size > maxCopied {
			return tooLarge(s.parked.bytes)
		}
		count = s.parkAgain(letters, time.Now(), every)
		return nil
	})
	return count, err
}

// Discard settles dead letters with a reason.
func (e *Engine) Discard(ctx context.Context, connectionID string, ids []string, note string) error {
	if note == "" {
		return errors.New("discard dead letters: say why")
	}
	return e.change(ctx, connectionID, func(s *runner) error {
		for _, id := range ids {
			s.pending.Discard = append(s.pending.Discard, store.Discarding{ID: id, Note: note})
		}
		return nil
	})
}
