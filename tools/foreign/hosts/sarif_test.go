package hosts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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
	const id = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	require.Contains(t, string(content), `"id": "`+id+`"`)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
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
	validate := func(text string) error {
		decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		return valid.Validate(decoded)
	}
	log := func(dir string, patterns ...string) string {
		var out strings.Builder
		_, err := catalogcheck.Check(t.Context(), dir, patterns, catalogcheck.Options{Format: catalogcheck.FormatSARIF}, &out)
		require.NoError(t, err)
		require.NoError(t, validate(out.String()))
		return out.String()
	}
	dir := tree(t, root, "kit.txtar", "sc103.txtar", "sc104.txtar", "sc105.txtar")
	full := log(dir, "./...")
	require.Greater(t, strings.Count(full, `"ruleIndex"`), 5)
	for _, part := range []string{`"level": ?"error"`, `"level": ?"warning"`, `"relatedLocations"`} {
		require.Regexp(t, part, full)
	}
	require.NotContains(t, log(dir, "./kit"), `"ruleIndex"`)

	// The schema does refuse: a line counts from 1.
	wrong := regexp.MustCompile(`"startLine": ?\d+`).ReplaceAllString(full, `"startLine": 0`)
	require.ErrorContains(t, validate(wrong), "minimum")
}
