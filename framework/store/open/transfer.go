package open

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/weirhq/weir/framework/store/postgres"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/store/transfer"
)

// Source opens the store that address names, as [URL] reads it, to move it. No
// process may have it.
func Source(ctx context.Context, address, dataDir string) (transfer.Source, error) {
	a, err := parse(address, dataDir)
	if err != nil {
		return nil, err
	}
	if a.postgres != "" {
		s, err := postgres.OpenSource(ctx, a.postgres, false)
		return s, addressError(err)
	}
	return sqlite.OpenSource(ctx, a.sqlite)
}

// Target prepares a store at an address that holds none.
func Target(ctx context.Context, address, dataDir string) (transfer.Target, error) {
	a, err := parse(address, dataDir)
	if err != nil {
		return nil, err
	}
	if a.postgres != "" {
		s, err := postgres.CreateTarget(ctx, a.postgres)
		return s, addressError(err)
	}
	return sqlite.CreateTarget(ctx, a.sqlite)
}

func addressError(err error) error {
	if errors.Is(err, postgres.ErrURL) {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return err
}

// Backup copies the store that address names, which may be in use, into a new
// file, and checks the copy.
func Backup(ctx context.Context, address, dataDir, file string, progress func(transfer.Progress)) (_ transfer.Manifest, err error) {
	a, err := parse(address, dataDir)
	if err != nil {
		return transfer.Manifest{}, err
	}
	if a.postgres == "" {
		return sqlite.Backup(ctx, a.sqlite, file)
	}
	from, err := postgres.OpenSource(ctx, a.postgres, true)
	if err != nil {
		return transfer.Manifest{}, addressError(err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	return sqlite.BackupOf(ctx, from, file, progress)
}

// Restore makes a store of a backup at an address that holds none.
func Restore(ctx context.Context, file, address, dataDir string, progress func(transfer.Progress)) (manifest transfer.Manifest, err error) {
	a, err := parse(address, dataDir)
	if err != nil {
		return manifest, err
	}
	if a.postgres == "" {
		return sqlite.Restore(ctx, file, a.sqlite)
	}
	dir, err := os.MkdirTemp("", "weir-restore-")
	if err != nil {
		return manifest, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if manifest, err = sqlite.Restore(ctx, file, dir); err != nil {
		return manifest, err
	}
	from, err := sqlite.OpenSource(ctx, dir)
	if err != nil {
		return manifest, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := postgres.CreateTarget(ctx, a.postgres)
	if err != nil {
		return manifest, addressError(err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	_, err = transfer.Move(ctx, from, to, transfer.Options{Progress: progress})
	return manifest, err
}
