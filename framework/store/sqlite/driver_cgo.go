//go:build cgo

package sqlite

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// driverName is that of the driver in database/sql.
const driverName = "sqlite3"

func openRaw(dsn string) (rawConn, error) {
	raw, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	c, ok := raw.(rawConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("unexpected driver connection %T", raw), raw.Close())
	}
	return c, nil
}

// params are the parameters of a data source name. The driver runs its own
// default pragmas at opening; all of ours follow.
func (a access) params() []string {
	list := []string{fmt.Sprintf("_busy_timeout=%d", a.busy.Milliseconds()), "_sync=FULL"}
	if a.queryOnly {
		list = append(list, "_query_only=1")
	}
	if a.cacheKiB > 0 {
		list = append(list, fmt.Sprintf("_cache_size=-%d", a.cacheKiB))
	}
	if a.immediate {
		list = append(list, "_txlock=immediate")
	}
	return list
}

// resultCode is SQLite's own code of an error.
func resultCode(err error) (code int, ok bool) {
	e, ok := errors.AsType[sqlite3.Error](err)
	return int(e.Code), ok
}
