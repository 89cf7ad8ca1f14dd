package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ManifestName is the name under which a backup keeps its manifest, in
// [MetaTable].
const ManifestName = "backup"

// ErrNoBackup says that a file is no backup.
var ErrNoBackup = errors.New("it is not a backup of Weir")

// Manifest says what is in a backup.
type Manifest struct {
	TakenAt time.Time `json:"taken_at"`
	// LogEpoch is that of the log when the backup was taken.
	LogEpoch int64 `json:"log_epoch"`
	// Tables are counts and digests of all tables, without the manifest itself.
	Tables []Sum `json:"tables"`
}

// Rows returns the number of rows of a table.
func (m Manifest) Rows(table string) int64 {
	for _, t := range m.Tables {
		if t.Table == table {
			return t.Rows
		}
	}
	return 0
}

// Check reads all tables of a store, without its manifest, and holds them
// against it.
func (m Manifest) Check(ctx context.Context, s Store) error {
	sums, err := Sums(ctx, s)
	if err != nil {
		return err
	}
	have := map[string]Sum{}
	for _, sum := range sums {
		have[sum.Table] = sum
	}
	var errs []error
	for _, want := range m.Tables {
		if got := have[want.Table]; got != want {
			errs = append(errs, fmt.Errorf("table %s has %d rows with digest %q, the backup was made of %d with %q", want.Table, got.Rows, got.Digest, want.Rows, want.Digest))
		}
		delete(have, want.Table)
	}
	for name := range have {
		errs = append(errs, fmt.Errorf("the backup was made without a table %s", name))
	}
	return errors.Join(errs...)
}

// Sums sums up all tables of a store.
func Sums(ctx context.Context, s Store) ([]Sum, error) {
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var out []Sum
	for _, t := range tables {
		sum, err := SumOf(ctx, s, t, nil)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", t.Name, err)
		}
		out = append(out, sum)
	}
	return out, nil
}

// Encode returns the manifest as it is kept.
func (m Manifest) Encode() ([]byte, error) { return json.Marshal(m) }

// DecodeManifest reads a manifest as it is kept; nil is [ErrNoBackup].
func DecodeManifest(kept []byte) (m Manifest, err error) {
	if kept == nil {
		return m, ErrNoBackup
	}
	if err := json.Unmarshal(kept, &m); err != nil {
		return m, fmt.Errorf("%w: its manifest cannot be read: %w", ErrNoBackup, err)
	}
	return m, nil
}
