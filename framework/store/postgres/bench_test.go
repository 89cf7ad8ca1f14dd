//go:build unix

package postgres

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
	"github.com/weirhq/weir/ingest"
)

var (
	benchKeys    = flag.Int("bench.keys", 0, "keys and entities that are there before BenchmarkCommit")
	benchRounds  = flag.Int("bench.rounds", 3, "turns of the store and of the floor in BenchmarkCommit")
	benchWriters = flag.Int("bench.writers", 64, "goroutines that commit in BenchmarkCommit")
	benchURL     = flag.String("bench.url", "", "empty database for BenchmarkCommit, or the one of an earlier run; by default a server of its own")
)

// BenchmarkCommit compares the store with a floor: the least SQL that records
// the same rows, written by hand with pgx and prepared statements, with the same
// group commit. Both take turns on one stream of one database. A unit is a
// webhook delivery: its key, and one event of 1 KiB with a version key. "faults"
// are units to the store of which 1 % are poisoned (the database refuses their
// row) and 1 % lose their caller at once.
//
//	go test -run '^$' -bench Commit -benchtime 20000x ./framework/store/postgres -bench.keys 10000000
func BenchmarkCommit(b *testing.B) {
	url := *benchURL
	var server *cluster
	if url == "" {
		server = newCluster(b)
		url = server.database(b)
	}
	con := fill(b, url, *benchKeys)
	poison(b, url)
	for round := range *benchRounds {
		salt := fmt.Sprintf("%s-%d", store.NewCommitID(), round)
		b.Run(fmt.Sprintf("keys=%d/store/%d", *benchKeys, round), func(b *testing.B) { benchStore(b, server, url, con, salt, false) })
		b.Run(fmt.Sprintf("keys=%d/floor/%d", *benchKeys, round), func(b *testing.B) { benchFloor(b, server, url, salt+"f") })
		b.Run(fmt.Sprintf("keys=%d/faults/%d", *benchKeys, round), func(b *testing.B) { benchStore(b, server, url, con, salt+"x", true) })
	}
	var size string
	require.NoError(b, dial(b, url).QueryRow(b.Context(), "SELECT pg_size_pretty(pg_database_size(current_database()))").Scan(&size))
	b.Logf("database of %s at the end", size)
}

// fill makes a store with keys and entities and returns its connection.
func fill(b *testing.B, url string, keys int) store.Connection {
	s, err := Open(b.Context(), Options{URL: url})
	require.NoError(b, err)
	con := connection(b, s, "bench")
	r, err := s.Commit(b.Context(), benchUnit(con.ID, storetest.Epoch(s, con.ID), "first"))
	require.NoError(b, err)
	require.NoError(b, s.Close())
	if keys > 0 && !r.DuplicateDelivery {
		_, err := dial(b, url).PgConn().Exec(b.Context(), fmt.Sprintf(seed, keys)).ReadAll()
		require.NoError(b, err)
	}
	return con
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

func benchStore(b *testing.B, server *cluster, url string, con store.Connection, salt string, faults bool) {
	s, err := Open(b.Context(), Options{URL: url})
	require.NoError(b, err)
	spread(b, server, func(i int) error {
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

// spread calls f b.N times from the writers and reports the rate.
func spread(b *testing.B, server *cluster, f func(i int) error) {
	var next atomic.Int64
	var writers sync.WaitGroup
	errs := make(chan error, *benchWriters)
	before, serverBefore := cpuSeconds(b), server.cpuSeconds(b)
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
	b.ReportMetric((cpuSeconds(b)-before)*1e6/float64(b.N), "client-cpu-µs/unit")
	if server != nil {
		b.ReportMetric((server.cpuSeconds(b)-serverBefore)*1e6/float64(b.N), "server-cpu-µs/unit")
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

// cpuSeconds is what the server's processes have used, also those that have ended.
func (c *cluster) cpuSeconds(b *testing.B) (sum float64) {
	if c == nil {
		return 0
	}
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

// floor records deliveries with the fewest statements.
type floor struct {
	conn     *pgx.Conn
	queue    chan *floorUnit
	sequence int64
	con, num int32
}

type floorUnit struct {
	entity, key, delivery, payload [16]byte
	id                             string
	at                             time.Time
	done                           chan error
}

func benchFloor(b *testing.B, server *cluster, url, salt string) {
	f := &floor{conn: dial(b, url), queue: make(chan *floorUnit, 4096)}
	require.NoError(b, f.conn.QueryRow(b.Context(), "SELECT connection, num, head FROM streams").Scan(&f.con, &f.num, &f.sequence))
	var running sync.WaitGroup
	running.Go(f.run)
	hash := func(kind, id string) [16]byte { return ingest.PayloadHash(ingest.Operation(kind), []byte(id)) }
	spread(b, server, func(i int) error {
		id := salt + strconv.Itoa(i)
		u := &floorUnit{
			id: id, at: time.Now(), entity: hash("entity", id), key: hash("key", id), delivery: hash("delivery", id),
			payload: hash("upsert", string(benchPayload)), done: make(chan error, 1),
		}
		copy(u.key[:8], u.entity[:8])
		f.queue <- u
		return <-u.done
	})
	close(f.queue)
	running.Wait()
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
	n := len(batch)
	ids, subjects, texts, payloads := make([]string, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	entities, keys, deliveries, hashes := make([][16]byte, n), make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
	times, sequences := make([]time.Time, n), make([]int64, n)
	for i, u := range batch {
		f.sequence++
		ids[i], subjects[i], texts[i], payloads[i] = u.id, []byte("cus_"+u.id), []byte("v/cus_"+u.id+"/1"), benchPayload
		entities[i], keys[i], deliveries[i], hashes[i] = u.entity, u.key, u.delivery, u.payload
		times[i], sequences[i] = u.at, f.sequence
	}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue("INSERT INTO delivery_keys SELECT $1, 'bench', u.h, u.d, '', u.a FROM unnest($2::uuid[], $3::text[], $4::timestamptz[]) u (h, d, a) ON CONFLICT DO NOTHING",
		f.con, deliveries, ids, times)
	b.Queue("INSERT INTO keys SELECT $1, $2, u.h, u.s FROM unnest($3::uuid[], $4::bigint[]) u (h, s) ON CONFLICT DO NOTHING", f.con, f.num, keys, sequences)
	b.Queue(`INSERT INTO entities SELECT $1, $2, u.h, u.p, u.a, u.s, 1, false FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::bigint[]) u (h, p, a, s)
		ON CONFLICT (connection, stream, hash) DO UPDATE SET time = excluded.time, payload = excluded.payload, sequence = excluded.sequence,
			revision = entities.revision + 1 WHERE entities.time <= excluded.time`, f.con, f.num, entities, hashes, times, sequences)
	b.Queue(`INSERT INTO events (connection, stream, segment, sequence, deletion, late, time, recorded_at, type, subject, key, payload)
		SELECT $1, $2, 1, u.s, false, false, u.a, u.a, 'customer', u.i, u.k, u.p
		FROM unnest($3::bigint[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::bytea[]) u (s, a, i, k, p)`,
		f.con, f.num, sequences, times, subjects, texts, payloads)
	b.Queue("UPDATE streams SET head = $1, last_success_at = $2 WHERE connection = $3 AND num = $4", f.sequence, batch[0].at, f.con, f.num)
	b.Queue(`INSERT INTO hourly VALUES ($1, $2, date_trunc('hour', $3::timestamptz), $4, 0, 0, 0)
		ON CONFLICT (connection, stream, hour) DO UPDATE SET events = hourly.events + excluded.events`, f.con, f.num, batch[0].at, n)
	b.Queue("COMMIT")
	return f.conn.SendBatch(context.Background(), b).Close()
}
