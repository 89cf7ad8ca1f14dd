// Package golangci makes the checker a linter of golangci-lint version 2, as a
// module plugin: see .custom-gcl.yml and docs/linters.md.
package golangci

import (
	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/weirhq/weir/tools/catalogcheck"
)

func init() {
	register.Plugin("catalogcheck", func(any) (register.LinterPlugin, error) { return plugin{}, nil })
}

// plugin has no settings: what a rule finds is the same in every host.
type plugin struct{}

// BuildAnalyzers returns the one analyzer that reports.
func (plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return []*analysis.Analyzer{catalogcheck.Analyzer()}, nil
}

// GetLoadMode asks for types: without them nothing can be proven.
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
