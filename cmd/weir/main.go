// Command weir is the stock binary: the whole product with the connectors of
// this repository linked in.
package main

import (
	_ "time/tzdata" // schedules name time zones also where the system has none

	"github.com/weirhq/weir/cmd/cli"
	"github.com/weirhq/weir/connectors/all"
)

func main() { cli.Main(all.Plugins()...) }
