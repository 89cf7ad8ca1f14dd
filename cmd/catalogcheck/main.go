// Command catalogcheck checks connectors against their catalogs; see package
// tools/catalogcheck.
package main

import (
	"os"

	"github.com/weirhq/weir/tools/catalogcheck"
)

func main() {
	os.Exit(catalogcheck.Main(os.Args[1:], os.Stdout, os.Stderr))
}
