package ingest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// Limits bound what one page or delivery may emit.
type Limits struct {
	// Events is the largest number of emissions.
	Events int
	// Bytes is the largest sum of payload sizes.
	Bytes int
	// EventBytes is the largest size of one payload.
	EventBytes int
}

// PageLimits bound one page of a sync.
func PageLimits() Limits { return Limits{Events: 10_000, Bytes: 16 << 20, EventBytes: 1 << 20} }

// DeliveryLimits bound what one webhook delivery may emit. An event may be as
// large as the largest body that an endpoint takes: a provider that sends such a
// body cannot be asked for less, as a page can.
func DeliveryLimits() Limits { return Limits{Events: 1_000, Bytes: 32 << 20, EventBytes: 25 << 20} }

// ErrSealed is returned for an emission after the handler returned. Such an
// emission is not recorded.
var ErrSealed = errors.New("the handler has returned; emit before returning")

// Buffer collects the emissions of one page or delivery. It is safe for
// concurrent use. After one emission has failed the buffer is poisoned: nothing
// of it is recorded, whatever the handler returns.
type Buffer struct {
	mu        sync.Mutex
	limits    Limits
	declared  []string
	emissions []Emission
	bytes     int
	poison    error
	sealed    bool
	late      int
}

// NewBuffer returns a buffer that accepts emissions to the declared streams.
// The framework makes buffers; authors need it in tests of their own only.
func NewBuffer(declared []string, limits Limits) *Buffer {
	return &Buffer{limits: limits, declared: declared}
}

// Seal ends the buffer and returns what was emitted, or the error that
// poisoned it. Later emissions fail.
func (b *Buffer) Seal() ([]Emission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
	if b.poison != nil {
		return nil, b.poison
	}
	return b.emissions, nil
}

// Late returns how many emissions came after the buffer was sealed.
func (b *Buffer) Late() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.late
}

// Fail poisons the buffer with err, if nothing has poisoned it before.
func (b *Buffer) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.poison == nil && err != nil {
		b.poison = err
	}
}

func (b *Buffer) add(e Emission, encodeErr error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		b.late++
		return fmt.Errorf("emit to stream %q: %w", e.Stream, ErrSealed)
	}
	if err := b.check(e, encodeErr); err != nil {
		err = fmt.Errorf("emit to stream %q: %w", e.Stream, err)
		if b.poison == nil {
			b.poison = err
		}
		return err
	}
	b.emissions = append(b.emissions, e)
	b.bytes += len(e.Payload)
	return nil
}

func (b *Buffer) check(e Emission, encodeErr error) error {
	switch {
	case !slices.Contains(b.declared, e.Stream):
		return errors.New("the stream is not declared in this connector's catalog (SC401)")
	case encodeErr != nil:
		return fmt.Errorf("encode payload: %w", encodeErr)
	case e.Type == "" || len(e.Type) > 255 || !validText(e.Type):
		return fmt.Errorf("canonical type %q must be 1 to 255 bytes of text", e.Type)
	case len(e.Payload) > b.limits.EventBytes:
		return fmt.Errorf("payload of %q has %d bytes; the limit is %d", e.Key.Subject(), len(e.Payload), b.limits.EventBytes)
	case len(b.emissions) >= b.limits.Events:
		return fmt.Errorf("more than %d events at once; return fewer and set HasMore", b.limits.Events)
	case b.bytes+len(e.Payload) > b.limits.Bytes:
		return fmt.Errorf("more than %d bytes at once; return fewer records and set HasMore", b.limits.Bytes)
	}
	return e.Key.check()
}

func validText(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}
