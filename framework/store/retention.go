package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Retention says how long the rows of a connection are kept. A zero field keeps
// for ever.
type Retention struct {
	// EventAge removes events that were recorded longer ago.
	EventAge time.Duration
	// EventCount is how many of the newest events of each stream are kept.
	EventCount int64
	// KeyAge is the dedupe window: a key that was recorded longer ago may be
	// forgotten, and what it names recorded again. The newest version of an entity
	// is never forgotten. Keys outlive their events unless this says otherwise.
	KeyAge time.Duration
	// RunAge removes runs that ended longer ago, HourlyAge hourly counts,
	// DeadLetterAge deliveries that were received longer ago and given up.
	RunAge, HourlyAge, DeadLetterAge time.Duration
}

// DefaultRetention keeps what cannot be had again for ever: events, keys and
// dead letters.
func DefaultRetention() Retention {
	return Retention{RunAge: 90 * 24 * time.Hour, HourlyAge: 400 * 24 * time.Hour}
}

// Check says everything that is wrong with r.
func (r Retention) Check() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"age of events", int64(r.EventAge)},
		{"number of events", r.EventCount},
		{"age of keys", int64(r.KeyAge)},
		{"age of runs", int64(r.RunAge)},
		{"age of hourly counts", int64(r.HourlyAge)},
		{"age of dead letters", int64(r.DeadLetterAge)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%w: the %s that is kept must not be negative", ErrInvalid, f.name))
		}
	}
	// What was recorded in the window is counted with the hourly counts.
	if r.HourlyAge > 0 && r.KeyAge > 0 && r.HourlyAge < r.KeyAge+time.Hour {
		errs = append(errs, fmt.Errorf("%w: hourly counts must be kept at least an hour longer than keys: the window of keys is counted with them", ErrInvalid))
	}
	return errors.Join(errs...)
}

// RetentionPolicy is the retention of a whole store.
type RetentionPolicy struct {
	// Default is that of every connection without one of its own.
	Default Retention
	// Connections are those of connections, by id. They replace Default whole.
	Connections map[string]Retention
	// Needed returns the first sequence of a stream that some reader still needs,
	// or 0 for none. No event from there on is removed. nil means that nobody
	// needs any.
	Needed func(ctx context.Context, connectionID, stream string) (int64, error)
}

// Of returns the retention of a connection.
func (p *RetentionPolicy) Of(connectionID string) Retention {
	if r, ok := p.Connections[connectionID]; ok {
		return r
	}
	return p.Default
}

// Check says everything that is wrong with p.
func (p *RetentionPolicy) Check() error {
	errs := []error{p.Default.Check()}
	for id, r := range p.Connections {
		if err := r.Check(); err != nil {
			errs = append(errs, fmt.Errorf("connection %q: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
