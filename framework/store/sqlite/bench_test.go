//go:build unix

package sqlite

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
	"github.com/weirhq/weir/ingest"
)

var (
	benchKeys    = flag.Int("bench.keys", 0, "keys and entities that are there before BenchmarkCommit")
	benchRounds  = flag.Int("bench.rounds", 3, "turns of the store and of the floor in BenchmarkCommit")
	benchWriters = flag.Int("bench.writers", 64, "goroutines that commit in BenchmarkCommit")
	benchDir     = flag.String("bench.dir", "", "folder for the files of BenchmarkCommit, the system's for temporary files by default")
)

// BenchmarkCommit compares the store with a floor: the least SQL that records
// the same rows, written by hand, with the same group commit. Both take turns on
// files with the same number of keys. A unit is a webhook delivery: its key, and
// one event of 1 KiB with a version key. "faults" are units to the store of
// which 1 % are poisoned (the database refuses their row) and 1 % lose their
// caller at once.
//
//	go test -run '^$' -bench Commit -benchtime 100000x ./framework/store/sqlite -bench.keys 10000000
func BenchmarkCommit(b *testing.B) {
	root, err := os.MkdirTemp(*benchDir, "weirbench-") //nolint:usetesting // the folder is chosen: b.TempDir cannot
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(root)) })
	storeDir, floorDir := filepath.Join(root, "store"), filepath.Join(root, "floor")
	con := fill(b, storeDir, *benchKeys)
	require.NoError(b, os.CopyFS(floorDir, os.DirFS(storeDir)))
	poison(b, storeDir)
	for round := range *benchRounds {
		salt := fmt.Sprintf("%s-%d", store.NewCommitID(), round)
		b.Run(fmt.Sprintf("keys=%d/store/%d", *benchKeys, round), func(b *testing.B) { benchStore(b, storeDir, con, salt, false) })
		b.Run(fmt.Sprintf("keys=%d/floor/%d", *benchKeys, round), func(b *testing.B) { benchFloor(b, floorDir, con, salt) })
		b.Run(fmt.Sprintf("keys=%d/faults/%d", *benchKeys, round), func(b *testing.B) { benchStore(b, storeDir, con, salt+"f", true) })
	}
}

// fill makes a store with keys and entities and returns its connection.
func fill(b *testing.B, dir string, keys int) store.Connection {
	s, err := Open(b.Context(), Options{Dir: dir})
	require.NoError(b, err)
	con, err := s.EnsureConnection(b.Context(), store.Connection{Project: "default", Name: "bench", Connector: "bench", Type: "source"})
	require.NoError(b, err)
	_, err = s.Commit(b.Context(), benchUnit(con.ID, storetest.Epoch(s, con.ID), "first"))
	require.NoError(b, err)
	require.NoError(b, s.Close())
	const series = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	if keys > 0 {
		// Entities with one version each, as package groupcommit hashes them: the
		// key is even and shares the first half with the entity, which is odd.
		raw(b, dir, "PRAGMA cache_size = -262144", "PRAGMA temp_store = MEMORY", "PRAGMA synchronous = OFF",
			fmt.Sprintf("CREATE TEMP TABLE h AS "+series+"SELECT randomblob(8) AS half, i FROM n", keys),
			"CREATE TEMP TABLE o AS SELECT half, i FROM h ORDER BY half", "DROP TABLE h",
			`INSERT INTO keys (stream, hash, sequence, time, payload, revision, latest)
				SELECT 1, CAST(half || CASE k WHEN 0 THEN x'0000000000000000' ELSE x'0000000000000001' END AS BLOB), i,
					CASE k WHEN 1 THEN i END, CASE k WHEN 1 THEN CAST(half || half AS BLOB) END, CASE k WHEN 1 THEN 1 END, CASE k WHEN 1 THEN 0 END
				FROM o, (SELECT 0 AS k UNION ALL SELECT 1)`,
			"PRAGMA wal_checkpoint(TRUNCATE)")
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	require.NoError(b, err)
	b.Logf("%d keys and entities: file of %d MiB", keys, info.Size()>>20)
	return con
}

var benchPayload = []byte(`"` + string(bytes.Repeat([]byte("x"), 1022)) + `"`)

func benchUnit(connectionID string, epoch int64, id string) store.Unit {
	return store.Unit{
		ID: store.NewCommitID(), ConnectionID: connectionID, Epoch: epoch, At: time.Now(),
		Emissions: []ingest.Emission{{
			Stream: "s", Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey("cus_"+id, "1"), Payload: benchPayload,
		}},
		Reserve: &store.DeliveryKey{Endpoint: "bench", Key: id, DeliveryID: "dlv_" + id},
		Streams: []store.StreamWrite{{Stream: "s", Succeeded: true}},
	}
}

func benchStore(b *testing.B, dir string, con store.Connection, salt string, faults bool) {
	s, err := Open(b.Context(), Options{Dir: dir})
	require.NoError(b, err)
	spread(b, func(i int) error {
		u := benchUnit(con.ID, storetest.Epoch(s, con.ID), salt+strconv.Itoa(i))
		ctx := b.Context()
		switch {
		case faults && i%100 == 50:
			u.Emissions[0].Type = storetest.PoisonType
		case faults && i%100 == 99:
			leaving, leave := context.WithCancel(ctx)
			time.AfterFunc(50*time.Microsecond, leave)
			ctx = leaving
		}
		_, err := s.Commit(ctx, u)
		if faults && (errors.Is(err, store.ErrInvalid) || errors.Is(err, context.Canceled)) {
			return nil
		}
		return err
	})
	stats := s.Stats()
	b.ReportMetric(float64(stats.Units)/float64(max(stats.Batches, 1)), "units/batch")
	require.NoError(b, s.Close())
}

// spread calls f b.N times from the writers and reports the rate and latency.
func spread(b *testing.B, f func(i int) error) {
	var next atomic.Int64
	var writers sync.WaitGroup
	errs := make(chan error, *benchWriters)
	before, written := cpuSeconds(b), bytesWritten()
	b.ResetTimer()
	start := time.Now()
	for range *benchWriters {
		writers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	writers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "units/s")
	b.ReportMetric((cpuSeconds(b)-before)*1e6/float64(b.N), "cpu-µs/unit")
	if written > 0 {
		b.ReportMetric((bytesWritten()-written)/1024/float64(b.N), "KiB/unit")
	}
	close(errs)
	require.NoError(b, <-errs)
}

// cpuSeconds is what the process has used. Unlike the rate it says something on
// a machine that others use too.
func cpuSeconds(b *testing.B) float64 {
	var r syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// bytesWritten is what the process has written to files, where the system says it.
func bytesWritten() float64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var read, written float64
	if _, err := fmt.Sscanf(string(text), "rchar: %g\nwchar: %g", &read, &written); err != nil {
		return 0
	}
	return written
}

// floor records deliveries with the fewest statements.
type floor struct {
	conn     *conn
	queue    chan *floorUnit
	sequence int64
}

type floorUnit struct {
	entity, key, delivery, payload [16]byte
	id                             string
	at                             int64
	done                           chan error
}

func benchFloor(b *testing.B, dir string, con store.Connection, salt string) {
	w := &writer{path: filepath.Join(dir, fileName), options: Options{Dir: dir}.withDefaults()}
	require.NoError(b, w.open())
	f := &floor{conn: w.conn, queue: make(chan *floorUnit, 4096)}
	var err error
	f.sequence, err = one(f.conn, "SELECT head FROM streams WHERE num = 1")
	require.NoError(b, err)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(f.run)
	s := &Store{path: w.path, written: make(chan struct{}, 1)}
	running.Go(func() {
		// The log is copied back as the store does it.
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				if c, err := connect(s.path); err == nil {
					_, _, _ = checkpoint(c, "PASSIVE")
					_ = c.close()
				}
			}
		}
	})
	secret := bytes.Repeat([]byte("k"), 32)
	spread(b, func(i int) error {
		id := salt + strconv.Itoa(i)
		key, entity := keyed(secret, "k"+con.ID+id), keyed(secret, "e"+con.ID+id)
		copy(key[:8], entity[:8])
		key[15], entity[15] = key[15]&^1, entity[15]|1
		u := &floorUnit{
			id: id, at: time.Now().UnixMicro(), entity: entity, key: key,
			delivery: keyed(secret, "d"+con.ID+id), payload: ingest.PayloadHash(ingest.Upsert, benchPayload), done: make(chan error, 1),
		}
		f.queue <- u
		return <-u.done
	})
	close(f.queue)
	close(stop)
	running.Wait()
	require.NoError(b, w.conn.close())
}

func keyed(secret []byte, s string) [16]byte {
	h := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(h, s)
	return [16]byte(h.Sum(nil)[:16])
}

func (f *floor) run() {
	var batch []*floorUnit
	for u := range f.queue {
		batch = append(batch[:0], u)
	gather:
		for len(batch) < 1024 {
			select {
			case u, ok := <-f.queue:
				if !ok {
					break gather
				}
				batch = append(batch, u)
			default:
				break gather
			}
		}
		err := f.commit(batch)
		for _, u := range batch {
			u.done <- err
		}
	}
}

func (f *floor) commit(batch []*floorUnit) error {
	var errs []error
	exec := func(query string, args ...driver.Value) int64 {
		n, err := f.conn.exec(query, args...)
		if err != nil {
			errs = append(errs, err)
		}
		return n
	}
	exec("BEGIN IMMEDIATE")
	for _, u := range batch {
		if exec("INSERT OR IGNORE INTO delivery_keys (connection, endpoint, hash, delivery_id, first_event, at) VALUES (1, 'bench', ?, ?, '', ?)",
			u.delivery[:], u.id, u.at) == 0 {
			continue
		}
		if exec("INSERT OR IGNORE INTO keys (stream, hash, sequence) VALUES (1, ?, ?)", u.key[:], f.sequence+1) == 0 {
			continue
		}
		f.sequence++
		exec(`INSERT INTO keys (stream, hash, time, payload, sequence, revision, latest) VALUES (1, ?, ?, ?, ?, 1, 0)
			ON CONFLICT DO UPDATE SET time = excluded.time, payload = excluded.payload, sequence = excluded.sequence, revision = revision + 1
			WHERE time <= excluded.time`, u.entity[:], u.at, u.payload[:], f.sequence)
		exec("INSERT INTO events (id, type, subject, deletion, key, time, recorded_at, late, payload) VALUES (?, 'customer', ?, 0, ?, ?, ?, 0, ?)",
			rowid(1, f.sequence), u.id, "v/cus_"+u.id+"/1", u.at, u.at, benchPayload)
	}
	exec("UPDATE streams SET head = ?, last_success_at = ? WHERE num = 1", f.sequence, batch[0].at)
	exec(`INSERT INTO hourly (stream, hour, events, duplicates, runs, failures) VALUES (1, ?, ?, 0, 0, 0)
		ON CONFLICT DO UPDATE SET events = events + excluded.events`, batch[0].at/3_600_000_000*3600, int64(len(batch)))
	exec("COMMIT")
	return errors.Join(errs...)
}
