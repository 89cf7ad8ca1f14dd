// Package cli holds weir's subcommands. A program that links connectors of its
// own is the whole product with one line:
//
//	func main() { cli.Main(acme.Plugin) }
//
// Every flag can also be set in the environment: --data-dir is WEIR_DATA_DIR.
// Exit codes are 0 for success, 1 for findings or failure, 2 for wrong usage or
// something that could not be loaded, and 3 for a server that cannot be reached.
package cli
