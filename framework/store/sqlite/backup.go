package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/transfer"
)

// A backup is one SQLite file: a store of one moment, with a manifest in it.

// Backup copies the store in dir, which may be in use, into a new file: all that
// was committed when it began, and nothing later. The write-ahead log of the
// store cannot begin again until it is done, because a reader holds it. The copy
// is read again and checked before it gets its name.
func Backup(ctx context.Context, dir, file string) (transfer.Manifest, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return transfer.Manifest{}, fmt.Errorf("open store: %w", err)
	}
	return writeBackup(file, func(partial string) (err error) {
		c, err := connectWith(path, access{readOnly: true, busy: writing.busy})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		if _, err := c.exec("VACUUM INTO ?", partial); err != nil {
			return fmt.Errorf("copy store: %w", err)
		}
		return ctx.Err()
	}, func(m *moved) (transfer.Manifest, error) { return m.describe(ctx) })
}

// BackupOf copies the store of another backend into a new file.
func BackupOf(ctx context.Context, from transfer.Source, file string, progress func(transfer.Progress)) (transfer.Manifest, error) {
	return writeBackup(file, func(partial string) error {
		to, err := createMoved(ctx, partial)
		if err != nil {
			return err
		}
		_, err = transfer.Move(ctx, from, to, transfer.Options{Progress: progress})
		return errors.Join(err, to.Close())
	}, func(m *moved) (transfer.Manifest, error) { return m.describe(ctx) })
}

// writeBackup has a store written to a file of another name, checks it, adds the
// manifest and gives it its name.
func writeBackup(file string, write func(partial string) error, describe func(*moved) (transfer.Manifest, error)) (manifest transfer.Manifest, err error) {
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return manifest, errors.Join(fmt.Errorf("%w: there is a file %s", transfer.ErrNotEmpty, file), err)
	}
	partial := file + partialSuffix
	if err := removeFile(partial); err != nil {
		return manifest, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeFile(partial))
		}
	}()
	if err := write(partial); err != nil {
		return manifest, err
	}
	if err := os.Chmod(partial, 0o600); err != nil {
		return manifest, err
	}
	m, err := openPlain(partial)
	if err != nil {
		return manifest, err
	}
	if manifest, err = describe(m); err == nil {
		err = m.setMeta(transfer.ManifestName, manifest.Encode)
	}
	if err = errors.Join(err, m.Close()); err != nil {
		return manifest, err
	}
	return manifest, settle(partial, file)
}

// openPlain opens a file as it is.
func openPlain(path string) (*moved, error) {
	c, err := connect(path)
	if err != nil {
		return nil, err
	}
	m := &moved{conn: c}
	// One file is the whole backup: nothing of it may stay in a log beside it.
	if err := c.script("PRAGMA journal_mode = DELETE"); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// describe checks a file and sums it up.
func (m *moved) describe(ctx context.Context) (manifest transfer.Manifest, err error) {
	if err := checkIntegrity(m.conn); err != nil {
		return manifest, err
	}
	manifest.TakenAt = time.Now().UTC().Truncate(time.Second)
	if manifest.LogEpoch, err = m.logEpoch(); err != nil {
		return manifest, err
	}
	manifest.Tables, err = transfer.Sums(ctx, m)
	return manifest, err
}

func (m *moved) logEpoch() (int64, error) {
	kept, err := m.meta(store.LogEpochName)
	if err != nil {
		return 0, err
	}
	return store.ReadLogEpoch(kept)
}

func (m *moved) meta(name string) (value []byte, err error) {
	err = m.conn.query(func(v []driver.Value) { value, _ = v[0].([]byte) }, "SELECT value FROM meta WHERE name = ?", name)
	return value, err
}

func (m *moved) setMeta(name string, encode func() ([]byte, error)) error {
	value, err := encode()
	if err == nil {
		_, err = m.conn.exec("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", name, value)
	}
	return err
}

// Restore makes a store in dir, which must hold none, of a backup. Its log has
// another epoch. The file is held against its manifest first.
func Restore(ctx context.Context, file, dir string) (manifest transfer.Manifest, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return manifest, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFolder(dir, time.Now())
	if err != nil {
		return manifest, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	to := filepath.Join(dir, FileName)
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		return manifest, errors.Join(fmt.Errorf("%w: there is a file %s", transfer.ErrNotEmpty, to), err)
	}
	partial := to + partialSuffix
	defer func() {
		if err != nil {
			err = errors.Join(err, removeFile(partial))
		}
	}()
	if err := errors.Join(removeFile(partial), copyFile(file, partial)); err != nil {
		return manifest, fmt.Errorf("copy backup: %w", err)
	}
	m, err := openPlain(partial)
	if err != nil {
		return manifest, fmt.Errorf("%w: %w", transfer.ErrNoBackup, err)
	}
	manifest, err = m.prepareRestored(ctx)
	if err = errors.Join(err, m.Close()); err != nil {
		return manifest, err
	}
	return manifest, settle(partial, to)
}

func (m *moved) prepareRestored(ctx context.Context) (manifest transfer.Manifest, err error) {
	kept, err := m.meta(transfer.ManifestName)
	if err != nil {
		return manifest, fmt.Errorf("%w: %w", transfer.ErrNoBackup, err)
	}
	if manifest, err = transfer.DecodeManifest(kept); err != nil {
		return manifest, err
	}
	if err := checkIntegrity(m.conn); err != nil {
		return manifest, err
	}
	if _, err := m.conn.exec("DELETE FROM meta WHERE name = ?", transfer.ManifestName); err != nil {
		return manifest, err
	}
	if err := manifest.Check(ctx, m); err != nil {
		return manifest, fmt.Errorf("the backup is damaged: %w", err)
	}
	return manifest, m.setMeta(store.LogEpochName, func() ([]byte, error) {
		return store.RaisedLogEpoch(manifest.LogEpoch, time.Now()), nil
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
