// Command rulesdoc writes the page of the checker's rules to the file it is
// given.
package main

import (
	"fmt"
	"os"

	"github.com/weirhq/weir/tools/catalogcheck"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rulesdoc FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(catalogcheck.Markdown()), 0o644); err != nil { //nolint:gosec // a page of the documentation is for everybody to read
		fmt.Fprintln(os.Stderr, "write rules:", err)
		os.Exit(1)
	}
}
