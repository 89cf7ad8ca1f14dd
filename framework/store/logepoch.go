package store

import (
	"fmt"
	"strconv"
	"time"
)

// LogEpochName is the name under which a backend keeps the epoch of its log,
// among what belongs to the whole store.
const LogEpochName = "log_epoch"

// firstLogEpoch is that of a log that never was in a backup.
const firstLogEpoch = 1

// ReadLogEpoch decodes the epoch of a log as it is kept; nil is the first.
func ReadLogEpoch(kept []byte) (int64, error) {
	if kept == nil {
		return firstLogEpoch, nil
	}
	n, err := strconv.ParseInt(string(kept), 10, 64)
	if err != nil || n < firstLogEpoch {
		return 0, fmt.Errorf("the epoch of the log is %q, which is none; the store is damaged, restore a backup", kept)
	}
	return n, nil
}

// RaisedLogEpoch is the epoch of a log that is restored from one with the given
// epoch, as it is kept. Two restorations of one backup are two logs, so it is
// taken from the clock.
func RaisedLogEpoch(before int64, now time.Time) []byte {
	return strconv.AppendInt(nil, max(before+1, now.Unix()), 10)
}
