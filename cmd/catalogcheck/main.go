// Command catalogcheck checks connectors against their catalogs; see package
// tools/catalogcheck. With -link it lists every connector of the module in
// connectors/all, see package tools/scaffold, and writes catalog.lock.json there.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/weirhq/weir/tools/catalogcheck"
	"github.com/weirhq/weir/tools/scaffold"
)

func main() {
	if slices.Equal(os.Args[1:], []string{"-link"}) {
		os.Exit(link())
	}
	os.Exit(catalogcheck.Main(os.Args[1:], os.Stdout, os.Stderr))
}

func link() int {
	changed, err := scaffold.Link(".")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "catalogcheck:", err)
		return 2
	}
	if changed {
		_, _ = fmt.Fprintln(os.Stdout, "connectors/all/all.go: written")
	}
	return lock()
}

// lock brings the lock beside connectors/all up to date. Code that does not
// compile yet is the compiler's to report: the check finds the lock missing.
func lock() int {
	module, err := scaffold.FindModule(".")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "catalogcheck:", err)
		return 2
	}
	findings, err := catalogcheck.Check(context.Background(), module.Dir, []string{"./connectors/all"}, catalogcheck.Options{Write: true, CacheDir: catalogcheck.DefaultCacheDir()}, os.Stdout)
	switch {
	case errors.Is(err, catalogcheck.ErrLoad):
		_, _ = fmt.Fprintf(os.Stderr, "catalog lock is not written yet: %v\n", err)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "catalogcheck:", err)
		return 2
	case findings > 0:
		return 1
	}
	return 0
}
