package connection_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/connection"
)

func TestDecodeRefusesWhatIsNotOneObject(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"is empty":                "  ",
		"stands twice":            `{"a":1,"b":{"c":1,"c":2}}`,
		"follows the object":      `{"a":1}{"b":2}`,
		"deeper than 40":          strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
		"NUL byte":                "{\"a\":\"\x00\"}",
		"NUL character":           `{"a":"b\u0000"}`,
		"not valid UTF-8":         "{\"a\":\"\xff\"}",
		"must be an object":       `[1]`,
		"no valid JSON at byte":   `{"a":}`,
		"the limit is":            `{"a":"` + strings.Repeat("x", 10<<20) + `"}`,
		"a key of the body holds": `{"\u0000":1}`,
	} {
		_, err := connection.Decode([]byte(body))
		require.ErrorIs(t, err, connection.ErrMalformed, name)
		require.ErrorContains(t, err, name)
		require.Less(t, len(err.Error()), 300)
	}
	_, err := connection.Decode([]byte(`{"password":"hunter2`))
	require.NotContains(t, err.Error(), "hunter2")
}

func TestDecodeKeepsDigits(t *testing.T) {
	t.Parallel()
	v, err := connection.Decode([]byte(`{"n":9007199254740993,"e":1e400,"deep":[{"x":"\"[{"}]}`))
	require.NoError(t, err)
	spec := connection.Spec{Config: v}
	b, err := spec.MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(b), "9007199254740993")
	require.Contains(t, string(b), "1e400")
}

func TestMergeIsTheOneOfTheStandard(t *testing.T) {
	t.Parallel()
	out := connection.Merge(map[string]any{"a": "b", "c": map[string]any{"d": 1, "e": 2}, "l": []any{1}},
		map[string]any{"a": nil, "c": map[string]any{"d": nil, "f": map[string]any{"g": nil}}, "l": []any{2}})
	require.Equal(t, map[string]any{"c": map[string]any{"e": 2, "f": map[string]any{}}, "l": []any{2}}, out)
}

func TestSlug(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"My Hook!": "my-hook", "ÄÖ": "", "a__b": "a__b", "--x--": "x", strings.Repeat("a", 99): strings.Repeat("a", 63)} {
		require.Equal(t, want, connection.Slug(text))
	}
}
