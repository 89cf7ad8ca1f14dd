package all_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/connectors/all"
)

func TestEveryLinkedCatalogIsValidAndUpToDate(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range all.Plugins() {
		require.False(t, seen[p.Key()], "two connectors are named %q", p.Key())
		seen[p.Key()] = true
		require.Empty(t, catalog.Validate(p.Connector()))
		for _, s := range p.Manifest().Streams {
			require.NotEmpty(t, s.Description, "stream %s.%s: the generated catalog is missing or out of date", p.Key(), s.Key)
		}
	}
	require.NotEmpty(t, seen)
}
