//go:build unix

package sqlite

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store/storetest"
)

var benchDir = flag.String("bench.dir", "", "folder for the files of BenchmarkCommit, the system's for temporary files by default")

// BenchmarkCommit is [storetest.Bench].
//
//	go test -run '^$' -bench Commit -benchtime 100000x ./framework/store/sqlite -bench.keys 10000000
func BenchmarkCommit(b *testing.B) {
	dir, err := os.MkdirTemp(*benchDir, "weirbench-") //nolint:usetesting // the folder is chosen: b.TempDir cannot
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	storetest.Bench{
		Open: func(b *testing.B) storetest.Counting {
			s, err := Open(b.Context(), Options{Dir: dir})
			require.NoError(b, err)
			return s
		},
		Fill: func(b *testing.B, keys int) {
			// Entities with one version each, as package groupcommit hashes them: the
			// key is even and shares the first half with the entity, which is odd.
			raw(b, dir, "PRAGMA cache_size = -262144", "PRAGMA temp_store = MEMORY", "PRAGMA synchronous = OFF",
				fmt.Sprintf(`CREATE TEMP TABLE h AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
					SELECT randomblob(8) AS half, i FROM n`, keys),
				"CREATE TEMP TABLE o AS SELECT half, i FROM h ORDER BY half", "DROP TABLE h",
				`INSERT INTO keys (stream, hash, sequence, time, payload, revision, latest)
					SELECT 1, CAST(half || CASE k WHEN 0 THEN x'0000000000000000' ELSE x'0000000000000001' END AS BLOB), i,
						CASE k WHEN 1 THEN i END, CASE k WHEN 1 THEN CAST(half || half AS BLOB) END, CASE k WHEN 1 THEN 1 END, CASE k WHEN 1 THEN 0 END
					FROM o, (SELECT 0 AS k UNION ALL SELECT 1)`,
				"PRAGMA wal_checkpoint(TRUNCATE)")
		},
		Poison: func(b *testing.B) { poison(b, dir) },
		Used: func(*testing.B) map[string]float64 {
			// Where the system says it.
			text, err := os.ReadFile("/proc/self/io")
			var read, written float64
			if err != nil {
				return map[string]float64{}
			}
			if _, err := fmt.Sscanf(string(text), "rchar: %g\nwchar: %g", &read, &written); err != nil {
				return map[string]float64{}
			}
			return map[string]float64{"KiB/unit": written / 1024}
		},
	}.Run(b)
}
