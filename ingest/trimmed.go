package ingest

import "fmt"

// TrimmedError is the error of a read that begins before the first event that is
// kept: those between were removed by retention. Reading on from First-1 skips
// them, which is the reader's to decide.
type TrimmedError struct {
	// Stream is the stream's key.
	Stream string
	// After is what was asked for, and First the first sequence that is kept; one
	// after the stream's head when none is.
	After, First int64
}

// Error names the gap and the way out.
func (e *TrimmedError) Error() string {
	return fmt.Sprintf("events %d to %d of stream %q were removed by retention; read on after sequence %d", e.After+1, e.First-1, e.Stream, e.First-1)
}

// CheckTrimmed says whether events, read after a sequence of a stream with the
// given head, begin later than was asked for. A negative after asks for the
// first event that is kept, so nothing is missing.
func CheckTrimmed(events []Event, stream string, after, head int64) error {
	first := head + 1
	if len(events) > 0 {
		first = events[0].Sequence
	}
	if after < 0 || first <= after+1 {
		return nil
	}
	return &TrimmedError{Stream: stream, After: after, First: first}
}
