//go:build !unix

package intake

import (
	"errors"
	"os"
)

// mapped fails: the journal is written instead.
func mapped(*os.File, int) (content []byte, unmap func() error, err error) {
	return nil, nil, errors.ErrUnsupported
}
