package catalogcheck

import "golang.org/x/tools/go/analysis"

// Analyzer returns the analyzer that reports every finding that one package at a
// time can have, for a host such as golangci-lint. The rules of [StageLock] need
// the whole module, and [Check].
func Analyzer() *analysis.Analyzer { return newAnalyzers(nil) }
