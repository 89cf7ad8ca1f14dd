//go:build !cgo

package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
)

// driverName is that of the driver in database/sql.
const driverName = "sqlite"

func openRaw(dsn string) (rawConn, error) {
	raw, err := (&sqlite.Driver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	c, ok := raw.(rawConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("unexpected driver connection %T", raw), raw.Close())
	}
	return c, nil
}

// params are the parameters of a data source name.
func (a access) params() []string {
	list := []string{fmt.Sprintf("_pragma=busy_timeout(%d)", a.busy.Milliseconds()), "_pragma=synchronous(FULL)"}
	if a.queryOnly {
		list = append(list, "_pragma=query_only(1)")
	}
	if a.cacheKiB > 0 {
		list = append(list, fmt.Sprintf("_pragma=cache_size(-%d)", a.cacheKiB))
	}
	if a.immediate {
		list = append(list, "_txlock=immediate")
	}
	return list
}

// resultCode is SQLite's own code of an error.
func resultCode(err error) (code int, ok bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	// The lower byte is the primary code.
	return e.Code() & 0xff, true
}
