package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxConnectionText bounds each text of a connection.
const maxConnectionText = 255

// CheckConnection says everything that keeps c from being stored. Backends call it.
func CheckConnection(c Connection) error {
	var errs []error
	for _, f := range []struct{ name, value string }{
		{"project", c.Project}, {"name", c.Name}, {"connector", c.Connector}, {"type", c.Type},
	} {
		switch {
		case f.value == "":
			errs = append(errs, fmt.Errorf("%w: connection has no %s", ErrInvalid, f.name))
		case len(f.value) > maxConnectionText:
			errs = append(errs, fmt.Errorf("%w: %s of the connection has %d bytes; the limit is %d", ErrInvalid, f.name, len(f.value), maxConnectionText))
		case !utf8.ValidString(f.value) || strings.IndexByte(f.value, 0) >= 0:
			errs = append(errs, fmt.Errorf("%w: %s %q of the connection is not valid UTF-8, or holds a NUL byte", ErrInvalid, f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// SameConnector says that a name keeps its connector. Backends call it.
func SameConnector(have, want Connection) error {
	if have.Connector == want.Connector {
		return nil
	}
	return fmt.Errorf("%w: connection %q of project %q is one of connector %q, not %q; delete it first, or choose another name",
		ErrInvalid, have.Name, have.Project, have.Connector, want.Connector)
}
