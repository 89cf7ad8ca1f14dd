//go:build unix

package postgres

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store/storetest"
)

// The dumps in testdata/schemas are of stores that storetest.Fill filled with a
// version of Weir that knew nothing newer. They are never made again.
func TestStoresOfEveryEarlierSchemaAreBroughtUpToDateWithEverythingInThem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/schemas/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			url := database(t)
			dump, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = dial(t, url).PgConn().Exec(t.Context(), string(dump)).ReadAll()
			require.NoError(t, err)
			s := open(t, Options{URL: url, clock: storetest.FilledAt})
			storetest.CheckFilled(t, s)
		})
	}
}

func TestAFilledStoreIsWhatItsCheckSays(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, Options{URL: url, clock: storetest.FilledAt})
	storetest.Fill(t, s)
	if into := os.Getenv("WEIR_WRITE_SCHEMA"); into != "" {
		require.NoError(t, s.Close())
		var dump bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "pg_dump", "--inserts", "--no-owner", "--no-privileges", url)
		cmd.Stdout, cmd.Stderr = &dump, os.Stderr
		require.NoError(t, cmd.Run())
		var plain []byte
		for line := range bytes.Lines(dump.Bytes()) {
			// Commands of psql.
			if !bytes.HasPrefix(line, []byte(`\`)) {
				plain = append(plain, line...)
			}
		}
		require.NoError(t, os.WriteFile(into, plain, 0o600))
		return
	}
	storetest.CheckFilled(t, s)
}
