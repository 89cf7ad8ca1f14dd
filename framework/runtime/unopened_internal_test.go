package runtime

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

func TestAReasonOfAnyLengthCanBeWrittenDown(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"short", strings.Repeat("\x01", 100<<10), strings.Repeat("ü", 100<<10)} {
		value, err := failure{7, reason}.stored(&connection{revision: 6})
		require.NoError(t, err)
		require.LessOrEqual(t, len(value), store.MaxStateBytes)
		var u unopened
		require.NoError(t, json.Unmarshal(value, &u))
		require.Equal(t, []any{int64(7), int64(6)}, []any{u.Revision, u.GoesOn})
		require.True(t, utf8.ValidString(u.Reason))
		require.True(t, strings.HasPrefix(reason, strings.TrimSuffix(u.Reason, " …")))
	}
}
