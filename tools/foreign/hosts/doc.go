// Package hosts holds that every host of the checker finds the same: its own driver, go vet, and a
// golangci-lint that golangci-lint itself builds with the plugin of tools/golangci.
package hosts
