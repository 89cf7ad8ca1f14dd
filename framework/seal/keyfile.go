package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// EnsureKeyFile makes a file with a new key at path, which only its owner may
// read, and reports whether it did: a file that is there stays as it is. A crash
// leaves a whole file or none.
func EnsureKeyFile(path string) (made bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	// What is made by CreateTemp is the owner's alone.
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-key-*")
	if err != nil {
		return false, fmt.Errorf("make a secret key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString("# Seals the secrets of connections. Keep a copy apart from the backups of the store.\n" + NewKey() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, fmt.Errorf("make a secret key: %w", err)
	}
	// A link never replaces a key that somebody made meanwhile.
	switch err := os.Link(f.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("make a secret key: %w", err)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return true, fmt.Errorf("make a secret key: %w", err)
	}
	// Some file systems cannot sync a folder; the key is there all the same.
	_ = folder.Sync()
	return true, folder.Close()
}
