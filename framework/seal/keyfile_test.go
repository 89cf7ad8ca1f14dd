package seal_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/seal"
)

func TestAKeyFileIsMadeOnceAndIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	var made atomic.Int32
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			if did, err := seal.EnsureKeyFile(path); err == nil && did {
				made.Add(1)
			}
		})
	}
	work.Wait()
	require.EqualValues(t, 1, made.Load())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	keys, err := seal.ParseKeys(string(content))
	require.NoError(t, err)
	require.NotEmpty(t, keys.ID())
	did, err := seal.EnsureKeyFile(path)
	require.NoError(t, err)
	require.False(t, did)
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, again, "a key that is there stays")
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	_, err = seal.EnsureKeyFile(filepath.Join(path, "below"))
	require.Error(t, err)
}
