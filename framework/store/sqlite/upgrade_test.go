//go:build unix

package sqlite

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store/storetest"
)

// The files in testdata/schemas were written by storetest.Fill with a version of
// Weir that knew nothing newer. They are never made again.
func TestStoresOfEveryEarlierSchemaAreBroughtUpToDateWithEverythingInThem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/schemas/*.db.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			unpack(t, file, filepath.Join(dir, FileName))
			s := open(t, Options{Dir: dir, Clock: storetest.FilledAt, manual: true})
			storetest.CheckFilled(t, s)
		})
	}
}

func TestAFilledStoreIsWhatItsCheckSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Clock: storetest.FilledAt, manual: true})
	storetest.Fill(t, s)
	if into := os.Getenv("WEIR_WRITE_SCHEMA"); into != "" {
		require.NoError(t, s.Close())
		pack(t, filepath.Join(dir, FileName), into)
		return
	}
	storetest.CheckFilled(t, s)
}

func unpack(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer func() { require.NoError(t, in.Close()) }()
	plain, err := gzip.NewReader(in)
	require.NoError(t, err)
	content, err := io.ReadAll(plain)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}

func pack(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	out, err := os.Create(to)
	require.NoError(t, err)
	packed := gzip.NewWriter(out)
	_, err = packed.Write(content)
	require.NoError(t, err)
	require.NoError(t, packed.Close())
	require.NoError(t, out.Close())
}
