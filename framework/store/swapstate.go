package store

import (
	"context"
	"fmt"
)

// StateSwaps is for state that several processes change, whichever of them has the
// work of the connection.
type StateSwaps interface {
	// SwapState replaces a named piece of state of a connection if its value is still
	// old, and reports whether it did. A nil old stands for no value, and a nil value
	// removes the name. It is true as well where the value is the new one already, as
	// it is after a commit whose answer was lost; a caller who must know that nobody
	// else wrote the same writes values that nobody else can have. Unlike [StateWrite]
	// it is not fenced. Errors: ErrNotFound (unknown connection), ErrInvalid, or what a
	// change fails with.
	SwapState(ctx context.Context, connectionID, name string, old, value []byte) (swapped bool, err error)
}

// maxStateName bounds the name of a piece of state, in bytes.
const maxStateName = 512

// CheckStateSwap says what is wrong with the name or value of a piece of state.
func CheckStateSwap(name string, value []byte) error {
	switch {
	case name == "" || len(name) > maxStateName:
		return fmt.Errorf("%w: the name of a state has %d bytes; it must have 1 to %d", ErrInvalid, len(name), maxStateName)
	case len(value) > MaxStateBytes:
		return fmt.Errorf("%w: state %q has %d bytes; the limit is %d", ErrInvalid, name, len(value), MaxStateBytes)
	}
	return nil
}
