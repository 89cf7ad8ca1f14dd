// Package open opens a store from its address. It is the one place beside tests
// and commands that names the backends.
package open

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/postgres"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// ErrAddress says that an address names no store.
var ErrAddress = errors.New("store address is not valid")

// URL opens the store that address names:
//
//	""                 SQLite in the data folder
//	sqlite:PATH        SQLite in the folder PATH; a relative one is below the data folder
//	sqlite:///PATH     SQLite in the folder /PATH
//	postgres://…       PostgreSQL, a URL as libpq takes it; postgresql:// is the same
//
// The error never shows more of the address than its scheme: it may hold a password.
func URL(ctx context.Context, address, dataDir string, logger *slog.Logger) (store.Store, error) {
	return Direct(ctx, address, "", dataDir, logger)
}

// Direct is [URL] with the address of the same PostgreSQL database without a pooler
// in between, or "".
func Direct(ctx context.Context, address, direct, dataDir string, logger *slog.Logger) (store.Store, error) {
	a, err := parse(address, dataDir)
	if err != nil {
		return nil, err
	}
	if a.postgres != "" {
		return openPostgres(ctx, postgres.Options{URL: a.postgres, Direct: direct, Logger: logger})
	}
	if direct != "" {
		return nil, fmt.Errorf("%w: store_direct is for a store on PostgreSQL", ErrAddress)
	}
	return openSQLite(ctx, a.sqlite, logger)
}

// Beside opens the store that address names for a command that changes what is
// configured, and runs nothing. On PostgreSQL it is no node among the others; of
// SQLite it is the one process that has it.
func Beside(ctx context.Context, address, dataDir string) (store.Store, error) {
	a, err := parse(address, dataDir)
	if err != nil {
		return nil, err
	}
	if a.postgres != "" {
		return openPostgres(ctx, postgres.Options{URL: a.postgres, Observe: true})
	}
	return openSQLite(ctx, a.sqlite, nil)
}

// place is what an address names: a URL, or a folder.
type place struct{ postgres, sqlite string }

func parse(address, dataDir string) (place, error) {
	scheme, rest, found := strings.Cut(address, ":")
	switch {
	case address == "":
		return place{sqlite: dataDir}, nil
	case !found:
		return place{}, fmt.Errorf("%w: it has no scheme; write sqlite:PATH", ErrAddress)
	case scheme == "sqlite":
		path, err := sqlitePath(rest)
		if err == nil && !filepath.IsAbs(path) {
			path = filepath.Join(dataDir, path)
		}
		return place{sqlite: path}, err
	case scheme == "postgres" || scheme == "postgresql":
		return place{postgres: address}, nil
	default:
		return place{}, fmt.Errorf("%w: scheme %q is unknown; write sqlite:PATH or postgres://…", ErrAddress, scheme)
	}
}

func openPostgres(ctx context.Context, o postgres.Options) (store.Store, error) {
	s, err := postgres.Open(ctx, o)
	if errors.Is(err, postgres.ErrURL) {
		err = fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if err != nil {
		// Not s: an interface that holds a nil pointer is not nil.
		return nil, err
	}
	return s, nil
}

// sqlitePath returns the path in what follows "sqlite:".
func sqlitePath(rest string) (string, error) {
	if strings.ContainsAny(rest, "?#") {
		return "", fmt.Errorf("%w: a sqlite address takes no parameters", ErrAddress)
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		host, path, _ := strings.Cut(after, "/")
		if host != "" {
			return "", fmt.Errorf("%w: sqlite:// is followed by a host; write sqlite:///PATH for an absolute path, sqlite:PATH for a relative one", ErrAddress)
		}
		rest = "/" + path
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if strings.Trim(path, "/") == "" || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%w: sqlite: needs the path of a folder", ErrAddress)
	}
	return path, nil
}

func openSQLite(ctx context.Context, dir string, logger *slog.Logger) (store.Store, error) {
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir, Logger: logger})
	if err != nil {
		// Not s: an interface that holds a nil pointer is not nil.
		return nil, err
	}
	return s, nil
}
