package connection

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirhq/weir/framework/config"
)

// Fault is one thing that is wrong with a connection.
type Fault struct {
	// Path is that of the value, such as "config.headers[0].name"; "" for the whole.
	Path string `json:"path"`
	// Message says what is wrong and what to do. It holds no secret.
	Message string `json:"message"`
	// Rule is the id of the rule that is broken, or "".
	Rule string `json:"rule,omitempty"`
}

// Faults are everything that is wrong with a connection.
type Faults []Fault //nolint:errname // it is a list of faults first, as config.Problems is

// Error lists every fault, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = strings.TrimPrefix(one.Path+": "+one.Message, ": ")
	}
	return strings.Join(lines, "\n")
}

// faultsOf returns the problems of a check.
func faultsOf(err error) Faults {
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		return Faults{{Message: err.Error()}}
	}
	return faultsFrom(problems)
}

func faultsFrom(problems config.Problems) Faults {
	out := make(Faults, len(problems))
	for i, p := range problems {
		out[i] = Fault{Path: p.Path, Message: p.Message, Rule: p.Rule}
	}
	return out
}

// Errors of a desk, beside those of package store: store.ErrNotFound,
// store.ErrExists, store.ErrStale (somebody else was faster), store.ErrReused,
// store.ErrNotEmpty, store.ErrUnavailable.
var (
	// ErrPrecondition says that the connection is not the one that If-Match names.
	ErrPrecondition = errors.New("it was changed since it was read; read it again")
	// ErrState says that the state of the connection does not allow it.
	ErrState = errors.New("its state does not allow this")
)

// ManagedError says that the operator's file owns a connection.
type ManagedError struct{ Name string }

// Error says what to do.
func (e *ManagedError) Error() string {
	return fmt.Sprintf("connection %q is managed by the file: change it there and run weir apply, or detach it first", e.Name)
}

// OpenError says that a revision cannot run. What ran before goes on.
type OpenError struct {
	Name     string
	Revision int64
	Err      error
}

// Error says that nothing has changed.
func (e *OpenError) Error() string {
	return fmt.Sprintf("revision %d of connection %q does not open, and what ran before goes on: %v", e.Revision, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }
