//go:build !unix

package sqlite

import (
	"errors"
	"os"
	"time"
)

// lockFolder refuses: without a lock two processes would write one store.
func lockFolder(string, time.Time) (*os.File, error) {
	return nil, errors.New("a SQLite store cannot be locked on this system; use PostgreSQL")
}
