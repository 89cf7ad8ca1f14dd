package catalogcheck

import (
	"go/ast"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// TestTracesAnyCode traces every expression of packages that were not written
// with the checker in mind: it must end, and never panic. TRACE_PACKAGES names
// more of them.
func TestTracesAnyCode(t *testing.T) {
	t.Parallel()
	patterns := append([]string{"encoding/json", "text/template/parse"}, strings.Fields(os.Getenv("TRACE_PACKAGES"))...)
	loaded, err := packages.Load(&packages.Config{Context: t.Context(), Mode: packages.LoadSyntax}, patterns...)
	require.NoError(t, err)
	traced := 0
	for _, p := range loaded {
		require.Empty(t, p.Errors)
		uses := recordUsage(p.Types, p.TypesInfo, p.Syntax)
		for _, file := range p.Syntax {
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok || !p.TypesInfo.Types[e].IsValue() {
					return true
				}
				tracer := newTracer(p.TypesInfo, uses)
				found, complete := tracer.origins(of(e))
				if complete && len(found) > 0 {
					traced++
				}
				newTracer(p.TypesInfo, uses).elements(of(e))
				require.Zero(t, tracer.depth)
				return true
			})
		}
	}
	require.Positive(t, traced)
}
