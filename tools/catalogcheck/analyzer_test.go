package catalogcheck

import (
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"
)

func TestAnalyzersAreValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, analysis.Validate([]*analysis.Analyzer{newAnalyzers(nil)}))
}

func TestPanicOfARuleNamesThePackage(t *testing.T) {
	t.Parallel()
	run := contained(func(*analysis.Pass) (any, error) { panic("boom") })
	result, err := run(&analysis.Pass{Pkg: types.NewPackage("example.com/odd", "odd")})
	require.Nil(t, result)
	require.ErrorContains(t, err, "fault of the checker in package example.com/odd")
	require.ErrorContains(t, err, "boom")
}
