package catalogcheck

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/weirhq/weir/tools/cataloglock"
)

// LinkedLock is the lock of one package that links connectors.
type LinkedLock struct {
	// Path is the absolute path of the lock's file.
	Path string
	// Saved is what the file holds, and empty where there is none.
	Saved cataloglock.Lock
	// Now is what the source promises, with the reasons that the file holds.
	Now cataloglock.Lock
}

// Locks reads the packages that the patterns name and returns the lock of each
// that links connectors. Errors are those of [Check], and ErrIncomplete.
func Locks(ctx context.Context, dir string, patterns []string) ([]LinkedLock, error) {
	l, err := load(ctx, dir, patterns, nil, nil, false)
	if err != nil {
		return nil, err
	}
	d := newDriver(l)
	for _, p := range l.sources {
		if _, err := d.run(p); err != nil {
			return nil, err
		}
	}
	var all []LinkedLock
	for _, one := range d.linkers() {
		now, ok := one.lock()
		if !ok {
			return nil, fmt.Errorf("%w: %s; weir check ./... says why", ErrIncomplete, one.PkgPath)
		}
		lock := LinkedLock{Path: one.path, Now: now}
		content, err := os.ReadFile(one.path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read catalog lock: %w", err)
		}
		if err == nil {
			if lock.Saved, err = cataloglock.Decode(content); err != nil && !errors.Is(err, cataloglock.ErrEdited) {
				return nil, fmt.Errorf("%s: %w", one.path, err)
			}
		}
		lock.Now.Accepted = lock.Saved.Accepted
		all = append(all, lock)
	}
	return all, nil
}

// ErrIncomplete says that a catalog cannot be read from the source.
var ErrIncomplete = errors.New("a linked catalog has findings")
