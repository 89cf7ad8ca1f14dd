package catalogcheck

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseDirective(f *testing.F) {
	for _, seed := range []string{
		"//catalogcheck:ignore SC113 a reason",
		"//catalogcheck:ignore\tSC113\ta reason",
		"//catalogcheck:ignore",
		"//catalogcheck:ignore SC999 x",
		"//catalogcheck:",
		"// catalogcheck:ignore SC113 x",
		"/*catalogcheck:ignore SC113 x*/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		d, ok, err := parseDirective(comment)
		addressed := strings.HasPrefix(comment, directivePrefix)
		require.Equal(t, addressed, ok, "a comment is ours by its prefix alone")
		if !ok {
			require.NoError(t, err)
		}
		if !ok || err != nil {
			require.Zero(t, d, "what is malformed accepts nothing")
			return
		}
		_, exists := RuleByID(d.rule)
		require.True(t, exists)
		require.NotEqual(t, "SC001", d.rule)
		require.NotEmpty(t, strings.TrimSpace(d.reason))
		again, ok, err := parseDirective(directivePrefix + "ignore " + d.rule + " " + d.reason)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, d, again)
	})
}
