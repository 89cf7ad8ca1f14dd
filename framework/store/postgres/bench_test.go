//go:build unix

package postgres

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store/storetest"
)

var benchURL = flag.String("bench.url", "", "empty database for BenchmarkCommit, or the one of an earlier run; by default a server of its own")

// BenchmarkCommit is [storetest.Bench].
//
//	go test -run '^$' -bench Commit -benchtime 20000x ./framework/store/postgres -bench.keys 10000000
func BenchmarkCommit(b *testing.B) {
	url := *benchURL
	var server *cluster
	if url == "" {
		server = newCluster(b)
		url = server.database(b)
	}
	storetest.Bench{
		Open: func(b *testing.B) storetest.Counting {
			s, err := Open(b.Context(), Options{URL: url})
			require.NoError(b, err)
			return s
		},
		Fill: func(b *testing.B, keys int) {
			_, err := dial(b, url).PgConn().Exec(b.Context(), fmt.Sprintf(seed, keys)).ReadAll()
			require.NoError(b, err)
		},
		Poison: func(b *testing.B) { poison(b, url) },
		Used: func(b *testing.B) map[string]float64 {
			if server == nil {
				return map[string]float64{}
			}
			return map[string]float64{"server-cpu-µs/unit": server.cpuSeconds(b) * 1e6}
		},
	}.Run(b)
	var size string
	require.NoError(b, dial(b, url).QueryRow(b.Context(), "SELECT pg_size_pretty(pg_database_size(current_database()))").Scan(&size))
	b.Logf("database of %s at the end", size)
}

// seed makes entities with one version each, with hashes like those of package
// groupcommit.
const seed = `
	SET work_mem = '512MB';
	CREATE TEMP TABLE halves AS SELECT substr(md5(i::text), 1, 16) AS half, i FROM generate_series(1, %d) i ORDER BY 1;
	INSERT INTO keys SELECT s.connection, s.num, (half || '0000000000000000')::uuid, i FROM halves, streams s;
	INSERT INTO entities SELECT s.connection, s.num, (half || '0000000000000001')::uuid, (half || half)::uuid, now(), i, 1, false FROM halves, streams s;
	DROP TABLE halves;
	ANALYZE;
	CHECKPOINT`

// cpuSeconds is what the server's processes have used, also those that have ended.
func (c *cluster) cpuSeconds(b *testing.B) (sum float64) {
	pid := c.process.Process.Pid
	for _, p := range append(children(b, pid), pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(b, err)
		// Of the fields after the name, 11 to 14 are the times of the process and of
		// those it waited for, in hundredths of a second.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, ticks := range fields[11:15] {
			n, err := strconv.Atoi(ticks)
			require.NoError(b, err)
			sum += float64(n) / 100
		}
	}
	return sum
}
