package hosts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/catalogcheck"
)

// schema compiles the schema of SARIF 2.1.0 that OASIS publishes. gosec, a part of golangci-lint,
// has it in its module, so the checksum that tools/dev.sum holds vouches for its content.
func schema(t *testing.T, root string) *jsonschema.Schema {
	t.Helper()
	modfile := "-modfile=" + filepath.Join(root, "tools/dev.mod")
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal([]byte(output(t, root, nil, "go", "mod", "download", modfile, "-json", "github.com/securego/gosec/v2")), &module))
	content, err := os.ReadFile(filepath.Join(module.Dir, "report", "sarif", "testdata", "sarif-schema-2.1.0.json"))
	require.NoError(t, err)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	const id = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	require.Equal(t, id, parsed.(map[string]any)["id"])
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(id, parsed))
	compiled, err := compiler.Compile(id)
	require.NoError(t, err)
	return compiled
}

// What is printed is valid SARIF 2.1.0: errors and warnings, related places, and none at all.
func TestSARIFIsValidByTheStandardsSchema(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	valid := schema(t, root)
	log := func(dir string, patterns ...string) map[string]any {
		var out bytes.Buffer
		_, err := catalogcheck.Check(t.Context(), dir, patterns, catalogcheck.Options{Format: catalogcheck.FormatSARIF}, &out)
		require.NoError(t, err)
		decoded, err := jsonschema.UnmarshalJSON(&out)
		require.NoError(t, err)
		require.NoError(t, valid.Validate(decoded))
		return decoded.(map[string]any)
	}
	results := func(log map[string]any) []any {
		return log["runs"].([]any)[0].(map[string]any)["results"].([]any)
	}
	dir := tree(t, root, "kit.txtar", "sc103.txtar", "sc104.txtar", "sc105.txtar")
	full := log(dir, "./...")
	require.Greater(t, len(results(full)), 5)
	text, err := json.Marshal(full)
	require.NoError(t, err)
	for _, part := range []string{`"level":"error"`, `"level":"warning"`, `"relatedLocations"`} {
		require.Contains(t, string(text), part)
	}
	require.Empty(t, results(log(dir, "./kit")))

	// The schema does refuse: a line counts from 1.
	place := results(full)[0].(map[string]any)["locations"].([]any)[0].(map[string]any)["physicalLocation"].(map[string]any)
	place["region"].(map[string]any)["startLine"] = json.Number("0")
	require.ErrorContains(t, valid.Validate(full), "minimum")
}
