package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// MaxRows bounds how many rows one transaction removes.
const MaxRows = 1000

// Stream is a stream of a connection that is not deleted.
type Stream struct {
	ConnectionID, Stream string
	// Connection and Num are the backend's own numbers of them.
	Connection, Num int64
	// Head is the last sequence.
	Head int64
}

// Event is what decides whether an event is kept.
type Event struct {
	Sequence   int64
	RecordedAt time.Time
}

// Backend finds and removes rows. Every removal is one transaction of its own,
// and removing what is gone is no error.
type Backend interface {
	// Streams lists the streams of all connections.
	Streams(ctx context.Context) ([]Stream, error)
	// OldestEvents returns the first events of a stream that are there.
	OldestEvents(ctx context.Context, s Stream, limit int) ([]Event, error)
	// RemoveEvents removes the events up to the given sequence, which are at most
	// MaxRows.
	RemoveEvents(ctx context.Context, s Stream, through int64) error
	// RemoveRuns removes at most MaxRows runs of a stream that ended before, and
	// returns how many.
	RemoveRuns(ctx context.Context, s Stream, before time.Time) (int, error)
	// RemoveHourly removes at most MaxRows hourly counts of a stream of hours
	// before, and returns how many.
	RemoveHourly(ctx context.Context, s Stream, before time.Time) (int, error)
	// RemoveDeadLetters removes at most MaxRows deliveries of a connection that
	// were given up and were received before, and returns how many.
	RemoveDeadLetters(ctx context.Context, connection int64, before time.Time) (int, error)
	// RecordedSince sums up the events of a stream in the hours since, by the
	// hourly counts.
	RecordedSince(ctx context.Context, s Stream, since time.Time) (int64, error)
	// Keys returns keys and entities of a stream with a hash after the given one,
	// in the order of hashes.
	Keys(ctx context.Context, s Stream, after Hash, limit int) ([]Key, error)
	// RemoveKeys removes keys, at most MaxRows.
	RemoveKeys(ctx context.Context, s Stream, hashes []Hash) error
}

// Segments is a [Backend] that can drop events of many streams at once.
type Segments interface {
	// DropSegments drops each of the oldest parts of the log of whose last event of
	// every stream removable says that it may go.
	DropSegments(ctx context.Context, streams []Stream, removable func(s Stream, last Event) bool) error
}

// Apply removes everything that p does not keep at the time now. A failure of
// one stream does not keep the others from being cut.
func Apply(ctx context.Context, b Backend, p *store.RetentionPolicy, now time.Time) error {
	streams, err := b.Streams(ctx)
	if err != nil {
		return err
	}
	needed := make(map[Stream]int64, len(streams))
	if p.Needed != nil {
		for _, s := range streams {
			if needed[s], err = p.Needed(ctx, s.ConnectionID, s.Stream); err != nil {
				return fmt.Errorf("ask what readers of stream %q need: %w", s.Stream, err)
			}
		}
	}
	removable := func(s Stream, e Event) bool {
		r := p.Of(s.ConnectionID)
		if n := needed[s]; n > 0 && e.Sequence >= n {
			return false
		}
		return r.EventCount > 0 && e.Sequence <= s.Head-r.EventCount || r.EventAge > 0 && e.RecordedAt.Before(now.Add(-r.EventAge))
	}
	var errs []error
	if parts, ok := b.(Segments); ok {
		errs = append(errs, parts.DropSegments(ctx, streams, removable))
	}
	letters := map[int64]bool{}
	for _, s := range streams {
		r := p.Of(s.ConnectionID)
		if err := applyStream(ctx, b, s, r, now, removable); err != nil {
			errs = append(errs, fmt.Errorf("trim stream %q of connection %q: %w", s.Stream, s.ConnectionID, err))
		}
		if r.DeadLetterAge > 0 && !letters[s.Connection] {
			letters[s.Connection] = true
			errs = append(errs, repeat(ctx, func() (int, error) { return b.RemoveDeadLetters(ctx, s.Connection, now.Add(-r.DeadLetterAge)) }))
		}
		if ctx.Err() != nil || len(errs) > 10 {
			break
		}
	}
	return errors.Join(errs...)
}

func applyStream(ctx context.Context, b Backend, s Stream, r store.Retention, now time.Time, removable func(Stream, Event) bool) error {
	if r.EventCount > 0 || r.EventAge > 0 {
		if err := cutEvents(ctx, b, s, removable); err != nil {
			return err
		}
	}
	// Keys before hourly counts: the counts say which keys are old.
	if r.KeyAge > 0 {
		if err := forget(ctx, b, s, now.Add(-r.KeyAge)); err != nil {
			return err
		}
	}
	if r.RunAge > 0 {
		if err := repeat(ctx, func() (int, error) { return b.RemoveRuns(ctx, s, now.Add(-r.RunAge)) }); err != nil {
			return err
		}
	}
	if r.HourlyAge > 0 {
		return repeat(ctx, func() (int, error) { return b.RemoveHourly(ctx, s, now.Add(-r.HourlyAge)) })
	}
	return nil
}

// cutEvents removes the first events of a stream, up to the first that is kept.
func cutEvents(ctx context.Context, b Backend, s Stream, removable func(Stream, Event) bool) error {
	for {
		events, err := b.OldestEvents(ctx, s, MaxRows)
		if err != nil {
			return err
		}
		through := int64(0)
		for _, e := range events {
			if !removable(s, e) {
				break
			}
			through = e.Sequence
		}
		if through == 0 {
			return nil
		}
		if err := b.RemoveEvents(ctx, s, through); err != nil {
			return err
		}
		if len(events) < MaxRows {
			return nil
		}
	}
}

// repeat removes until fewer than a transaction's worth was there.
func repeat(ctx context.Context, remove func() (int, error)) error {
	for {
		n, err := remove()
		if err != nil || n < MaxRows {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
