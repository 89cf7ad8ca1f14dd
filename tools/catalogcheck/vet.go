package catalogcheck

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

// vetProtocol reports whether the go command calls: it asks for the flags, for
// the version, or for the check of one package that a .cfg file describes.
func vetProtocol(args []string) bool {
	if len(args) == 0 {
		return false
	}
	last := args[len(args)-1]
	return strings.HasSuffix(last, ".cfg") || (len(args) == 1 && (last == "-flags" || last == "-V=full"))
}

// vet answers the go command and ends the process.
func vet(args []string) int {
	// A diagnostic makes go vet fail, so warnings go to standard error, which
	// the go command shows without failing. It shows them when it runs the
	// tool, and not again while its cache has the result.
	warn := func(pass *analysis.Pass, d analysis.Diagnostic) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", pass.Fset.Position(d.Pos), d.Message)
		for _, r := range d.Related {
			fmt.Fprintf(os.Stderr, "%s: \t%s\n", pass.Fset.Position(r.Pos), r.Message)
		}
	}
	if factsOnly(args[len(args)-1]) {
		warn = func(*analysis.Pass, analysis.Diagnostic) {}
	}
	unitchecker.Main(newAnalyzers(warn))
	return exitFailed
}

// factsOnly reports whether the configuration asks for no findings.
func factsOnly(config string) bool {
	content, err := os.ReadFile(config)
	if err != nil {
		return false // unitchecker says what is wrong with it
	}
	var parsed struct{ VetxOnly bool }
	return json.Unmarshal(content, &parsed) == nil && parsed.VetxOnly
}
