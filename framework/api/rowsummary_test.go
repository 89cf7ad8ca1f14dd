package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
)

func TestEveryOperationOfTheDocumentSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(api.OpenAPI())
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]struct {
			Summary string
			Tags    []string
		}
	}
	require.NoError(t, json.Unmarshal(text, &document))
	require.NotEmpty(t, document.Paths)
	for path, methods := range document.Paths {
		for method, o := range methods {
			require.NotEmpty(t, o.Summary, "%s %s", method, path)
			require.Len(t, o.Tags, 1, "%s %s", method, path)
			require.NotEmpty(t, o.Tags[0], "%s %s", method, path)
		}
	}
}
