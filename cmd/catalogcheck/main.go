// Command catalogcheck checks connectors against their catalogs; see package
// tools/catalogcheck. With -link it lists every connector of the module in
// connectors/all; see package tools/scaffold.
package main

import (
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
	return 0
}
