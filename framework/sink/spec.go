package sink

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Order says what a failing event does to those after it.
type Order string

// Orders.
const (
	// Ordered has one request in flight a stream; a failing event holds the stream.
	Ordered Order = "ordered"
	// PerKey keeps the events of an entity in order; a failing one holds only them.
	PerKey Order = "per_key"
	// Unordered parks what fails and goes on.
	Unordered Order = "unordered"
)

// Start says where a sink begins in a stream that it has not read before.
type Start string

// Starts.
const (
	Earliest Start = "earliest"
	Latest   Start = "latest"
)

// Batch bounds a batch: whichever comes first.
type Batch struct {
	// MaxEvents is the most events. Default 1.
	MaxEvents int
	// Wait is how long an event waits for others. Default 1 s.
	Wait time.Duration
	// MaxBytes bounds the bodies together; one event may have more. Default 1 MiB.
	MaxBytes int
}

// Spec says how a sink delivers. Zero fields take their defaults.
type Spec struct {
	// Sender and Policy are required.
	Sender Sender
	Policy Policy
	// Order is Ordered unless chosen.
	Order Order
	// Start is Earliest unless chosen.
	Start Start
	// InFlight is how many requests may be on their way at once. An ordered sink
	// has one a stream whatever this says. Default 8.
	InFlight int
	Batch    Batch
	// Delay is how long after its time an event is delivered at the earliest.
	Delay time.Duration
	// Timeout bounds one attempt. Default 30 s.
	Timeout time.Duration
	// DisableAfter ends a sink that has delivered nothing and failed for so long.
	// Default 5 days.
	DisableAfter time.Duration
	// Close is called when a process has ended with the sink, which may begin again
	// in the same process. Optional.
	Close func() error
}

// WithDefaults fills in what is left out.
func (s Spec) WithDefaults() Spec {
	s.Order = cmp.Or(s.Order, Ordered)
	s.Start = cmp.Or(s.Start, Earliest)
	s.InFlight = cmp.Or(s.InFlight, 8)
	s.Batch.MaxEvents = cmp.Or(s.Batch.MaxEvents, 1)
	s.Batch.Wait = cmp.Or(s.Batch.Wait, time.Second)
	s.Batch.MaxBytes = cmp.Or(s.Batch.MaxBytes, 1<<20)
	s.Timeout = cmp.Or(s.Timeout, 30*time.Second)
	s.DisableAfter = cmp.Or(s.DisableAfter, 5*24*time.Hour)
	return s
}

// Validate lists everything that is wrong with s.
func (s Spec) Validate() error {
	var errs []error
	if s.Sender == nil {
		errs = append(errs, errors.New("no sender is given"))
	}
	if s.Policy == nil {
		errs = append(errs, errors.New("no policy is given"))
	}
	if s.Order != Ordered && s.Order != PerKey && s.Order != Unordered {
		errs = append(errs, fmt.Errorf("order %q is unknown; use ordered, per_key or unordered", s.Order))
	}
	if s.Start != Earliest && s.Start != Latest {
		errs = append(errs, fmt.Errorf("start %q is unknown; use earliest or latest", s.Start))
	}
	if s.InFlight < 0 || s.Batch.MaxEvents < 0 || s.Batch.MaxBytes < 0 {
		errs = append(errs, errors.New("requests in flight and the bounds of a batch must be positive"))
	}
	if s.Batch.Wait < 0 || s.Delay < 0 || s.Timeout < 0 || s.DisableAfter < 0 {
		errs = append(errs, errors.New("a duration is negative"))
	}
	return errors.Join(errs...)
}
