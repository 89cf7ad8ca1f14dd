//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/framework/store/storetest"
	"github.com/weirhq/weir/ingest"
)

var start = time.Date(2026, 11, 22, 10, 20, 30, 123456000, time.UTC)

func fact(stream, id string) ingest.Emission {
	return ingest.Emission{Stream: stream, Type: "entry", Operation: ingest.Upsert, Key: ingest.EventKey(id), Payload: []byte(`{}`)}
}

// connection makes one.
func connection(t testing.TB, s *Store, name string) store.Connection {
	t.Helper()
	c, err := s.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: name, Connector: "demo", Type: "source", Enabled: true})
	require.NoError(t, err)
	return c
}

func unit(s *Store, con store.Connection, emissions ...ingest.Emission) store.Unit {
	return store.Unit{ID: store.NewCommitID(), ConnectionID: con.ID, Epoch: storetest.Epoch(s, con.ID), At: start, Emissions: emissions}
}

// waits blocks until n sessions of the database wait for a lock.
func waits(t testing.TB, conn *pgx.Conn, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		require.NoError(t, err)
		return waiting >= n
	}, time.Minute, 5*time.Millisecond)
}

// secondWriter is another writing process under the same lease, as there will
// be when shards are spread over nodes.
func secondWriter(t testing.TB, s *Store) *groupcommit.Engine {
	t.Helper()
	b := &backend{config: s.config, node: &s.node.held}
	var err error
	b.conn, err = openSession(t.Context(), s.config, &b.lent)
	require.NoError(t, err)
	conn := b.conn.Conn
	b.writer, err = enter(t.Context(), conn, "second")
	require.NoError(t, err)
	var secret []byte
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT value FROM meta WHERE name = 'secret'").Scan(&secret))
	e, err := groupcommit.New(b, groupcommit.Config{Secret: secret})
	require.NoError(t, err)
	t.Cleanup(func() {
		e.Close()
		b.close()
	})
	return e
}

func TestTwoWritersOfTheSameKeysInOppositeOrdersLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URL: usedDatabase(t)})
	con := connection(t, s, "acme")
	const units, writers = 40, 4
	engines := []*groupcommit.Engine{s.engine, secondWriter(t, s)}
	var appended, duplicates atomic.Int64
	var running sync.WaitGroup
	for e, engine := range engines {
		for range writers {
			running.Go(func() {
				for i := range units {
					n, streams := i, []string{"a", "b"}
					if e == 1 {
						n, streams = units-1-i, []string{"b", "a"}
					}
					u := unit(s, con)
					for _, stream := range streams {
						u.Emissions = append(u.Emissions, fact(stream, strconv.Itoa(n)), ingest.Emission{
							Stream: stream, Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey("e"+strconv.Itoa(n), "1"), Payload: []byte(`1`),
						})
					}
					r, err := engine.Commit(t.Context(), u)
					if err != nil {
						t.Errorf("commit: %v", err)
						return
					}
					appended.Add(int64(r.Appended))
					duplicates.Add(int64(r.Duplicates))
				}
			})
		}
	}
	running.Wait()
	require.Equal(t, int64(4*units), appended.Load(), "each key is appended once")
	require.Equal(t, int64(4*units*(2*writers-1)), duplicates.Load())
	for _, stream := range []string{"a", "b"} {
		require.Len(t, distinct(t, s, con, stream), 2*units)
	}
}

// distinct reads a stream, checks that its sequences have no gap and no key is
// there twice, and returns its keys.
func distinct(t testing.TB, s *Store, con store.Connection, stream string) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	for after := int64(0); ; {
		events, err := s.Events(t.Context(), con.ID, stream, after, 1000)
		require.NoError(t, err)
		for _, e := range events {
			require.Equal(t, after+1, e.Sequence, "a gap in stream %q", stream)
			require.False(t, keys[e.Key], "key %q is there twice", e.Key)
			keys[e.Key] = true
			after = e.Sequence
		}
		if len(events) == 0 {
			return keys
		}
	}
}

func TestADeadlockIsTriedAgainUnseen(t *testing.T) {
	t.Parallel()
	url := database(t)
	other := dial(t, url)
	// The writer looks for deadlocks after it has waited for 3 s, the test never:
	// so it is the writer whom the server fails.
	_, err := other.Exec(t.Context(), "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET deadlock_timeout = 3000'; END $$")
	require.NoError(t, err)
	s := open(t, Options{URL: url})
	con := connection(t, s, "acme")
	_, err = s.Commit(t.Context(), unit(s, con, fact("a", "1"), fact("b", "1")))
	require.NoError(t, err)
	tx, err := other.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SET LOCAL deadlock_timeout = '10min'")
	require.NoError(t, err)
	lock := func(stream string) error {
		_, err := tx.Exec(t.Context(), "SELECT FROM streams WHERE stream = $1 FOR UPDATE", stream)
		return err
	}
	require.NoError(t, lock("b"))
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), unit(s, con, fact("a", "2"), fact("b", "2")))
		done <- err
	}()
	waits(t, dial(t, url), 1)
	require.NoError(t, lock("a"))
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	require.Len(t, distinct(t, s, con, "a"), 2)
	var deadlocks int
	require.Eventually(t, func() bool {
		err := other.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
		require.NoError(t, err)
		return deadlocks > 0
	}, time.Minute, 20*time.Millisecond, "there was no deadlock")
}

func TestACommitWithAnUnknownOutcomeIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cut  cut
	}{
		{"CutBeforeTheServerHadIt", cut{}},
		{"CutBeforeTheAnswer", cut{forward: true}},
		{"CutWhileTheNetworkHoldsIt", cut{delay: make(chan struct{})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			direct := usedDatabase(t)
			p, through := newProxy(t, direct)
			log := &records{}
			s := open(t, Options{URL: through, Logger: slog.New(log)})
			con := connection(t, s, "acme")
			_, err := s.Commit(t.Context(), unit(s, con, fact("s", "first")))
			require.NoError(t, err)
			c.cut.done = make(chan struct{})
			p.onCommit.Store(&c.cut)
			type answer struct {
				receipt store.Receipt
				err     error
			}
			done := make(chan answer, 1)
			go func() {
				r, err := s.Commit(t.Context(), unit(s, con, fact("s", "second")))
				done <- answer{r, err}
			}()
			<-c.cut.done
			if c.cut.delay != nil {
				// The store must not take silence for an answer.
				waits(t, dial(t, direct), 1)
				require.Empty(t, done)
				close(c.cut.delay)
			}
			a := <-done
			require.NoError(t, a.err)
			require.Equal(t, 1, a.receipt.Appended, "the unit was taken for its own duplicate")
			require.Equal(t, int64(2), a.receipt.Events[0].Sequence)
			require.Len(t, distinct(t, s, con, "s"), 2)
			require.Equal(t, int64(1), log.unknown.Load(), "the outcome was known")
		})
	}
}

// records counts the engine's word that it does not know an outcome.
type records struct{ unknown atomic.Int64 }

func (*records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) Handle(_ context.Context, rec slog.Record) error {
	if rec.Message == "outcome of a commit is not known; asking the store" {
		r.unknown.Add(1)
	}
	return nil
}
func (r *records) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r *records) WithGroup(string) slog.Handler      { return r }

func TestAKilledServerLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := open(t, Options{URL: c.database(t)})
	con := connection(t, s, "acme")
	const writers, kills = 8, 2
	var acknowledged atomic.Int64
	var stop atomic.Bool
	var running sync.WaitGroup
	acked := make([]map[string]bool, writers)
	for w := range writers {
		acked[w] = map[string]bool{}
		running.Go(func() {
			for i := 0; !stop.Load(); i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				for {
					// The same key again and again, as a provider sends it.
					_, err := s.Commit(t.Context(), unit(s, con, fact("s", key)))
					if err == nil {
						acked[w]["e/"+key] = true
						acknowledged.Add(1)
						break
					}
					if !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("commit: %v", err)
						return
					}
					if stop.Load() {
						return
					}
				}
			}
		})
	}
	for kill := range kills {
		before := acknowledged.Load()
		require.Eventually(t, func() bool { return acknowledged.Load() > before+200 }, time.Minute, time.Millisecond)
		c.kill(t)
		// What was on its way has an outcome that nobody knows, and waits for the server; what comes is refused.
		require.Eventually(t, func() bool {
			_, err := s.Commit(t.Context(), unit(s, con, fact("s", fmt.Sprint("late-", kill))))
			return errors.Is(err, store.ErrUnavailable)
		}, time.Minute, time.Millisecond, "no commit was refused")
		require.ErrorIs(t, s.Ping(t.Context()), store.ErrUnavailable)
		_, err := s.Events(t.Context(), con.ID, "s", 0, 1)
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.NoError(t, c.start())
	}
	before := acknowledged.Load()
	require.Eventually(t, func() bool { return acknowledged.Load() > before+50 }, time.Minute, time.Millisecond, "the store did not heal")
	stop.Store(true)
	running.Wait()
	recorded := distinct(t, s, con, "s")
	for w := range writers {
		for key := range acked[w] {
			require.True(t, recorded[key], "acknowledged key %s is lost", key)
		}
	}
	require.NoError(t, s.Ping(t.Context()))
}

func TestSynchronousCommitIsOnWhateverTheDatabaseSays(t *testing.T) {
	t.Parallel()
	url := database(t)
	_, err := dial(t, url).Exec(t.Context(), "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET synchronous_commit = off'; END $$")
	require.NoError(t, err)
	var s *Store
	var seen []string
	s = open(t, Options{URL: url, failpoint: func(what string) error {
		if what != "commit" {
			return nil
		}
		results, err := s.backend.conn.PgConn().Exec(t.Context(), "SHOW synchronous_commit").ReadAll()
		if err == nil {
			seen = append(seen, string(results[0].Rows[0][0]))
		}
		return err
	}})
	con := connection(t, s, "acme")
	for i := range 3 {
		_, err := s.Commit(t.Context(), unit(s, con, fact("s", strconv.Itoa(i))))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"on", "on", "on"}, seen)
}

func TestACommitThatWouldNotWaitForTheDiskIsRefused(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, Options{URL: url})
	con := connection(t, s, "acme")
	_, err := dial(t, url).PgConn().Exec(t.Context(), `
		CREATE FUNCTION careless() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM set_config('synchronous_commit', 'off', true); RETURN new; END $$;
		CREATE TRIGGER careless BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION careless()`).ReadAll()
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorContains(t, err, "synchronous_commit")
	require.Empty(t, distinct(t, s, con, "s"))
}

func TestTextThatPostgreSQLRefusesFailsNobody(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URL: usedDatabase(t)})
	con := connection(t, s, "acme")
	odd := ingest.Emission{
		Stream: "s", Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey("a\x00b", "\xff"), Payload: []byte("\x00\xff"),
	}
	r, err := s.Commit(t.Context(), unit(s, con, odd, fact("s", "good")))
	require.NoError(t, err)
	require.Equal(t, 2, r.Appended)
	events, err := s.Events(t.Context(), con.ID, "s", 0, 10)
	require.NoError(t, err)
	require.Equal(t, "a\x00b", events[0].Subject)
	require.Equal(t, "v/a\x00b/\xff", events[0].Key)
	require.Equal(t, "\x00\xff", string(events[0].Payload))
	require.Zero(t, s.Stats().Bisected)

	for _, name := range []string{"a\x00b", "\xff"} {
		_, err := s.Events(t.Context(), name, "s", 0, 1)
		require.ErrorIs(t, err, store.ErrNotFound)
		events, err := s.Events(t.Context(), con.ID, name, 0, 1)
		require.NoError(t, err)
		require.Empty(t, events)
		_, err = s.Run(t.Context(), name)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, ok, err := s.Checkpoint(t.Context(), con.ID, name, name)
		require.NoError(t, err)
		require.False(t, ok)
		require.ErrorIs(t, s.DeleteConnection(t.Context(), name), store.ErrNotFound)
		require.ErrorIs(t, s.SetPaused(t.Context(), con.ID, name, true), store.ErrInvalid)
	}
}

func TestARowThatAppearsBelowATransactionIsALostRace(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	other := dial(t, url)
	var behind atomic.Pointer[string]
	var at atomic.Pointer[string]
	s := open(t, Options{URL: url, failpoint: func(what string) error {
		if p := at.Load(); p == nil || *p != what {
			return nil
		}
		if sql := behind.Swap(nil); sql != nil {
			_, err := other.Exec(t.Context(), *sql)
			return err
		}
		return nil
	}})
	con := connection(t, s, "acme")
	_, err := s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.NoError(t, err)

	// A key that was not there when the writer looked.
	var row string
	require.NoError(t, other.QueryRow(t.Context(),
		"DELETE FROM keys RETURNING format('INSERT INTO keys VALUES (%s, %s, %L, %s)', connection, stream, hash, sequence)").Scan(&row))
	what := "write keys"
	at.Store(&what)
	behind.Store(&row)
	r, err := s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.NoError(t, err)
	require.Nil(t, behind.Load(), "the failpoint was not reached")
	require.Equal(t, 1, r.Duplicates)
	require.Equal(t, int64(1), r.Events[0].Sequence)
	require.Len(t, distinct(t, s, con, "s"), 1)

	// A checkpoint that was moved after the writer looked.
	u := unit(s, con, fact("s", "2"))
	u.Checkpoint = &store.CheckpointWrite{Stream: "s", Lane: store.LaneLive}
	_, err = s.Commit(t.Context(), u)
	require.NoError(t, err)
	what, row = "move checkpoints", "UPDATE checkpoints SET commit_id = 'moved'"
	behind.Store(&row)
	next := unit(s, con, fact("s", "3"))
	next.Checkpoint = &store.CheckpointWrite{Stream: "s", Lane: store.LaneLive, Previous: u.ID}
	_, err = s.Commit(t.Context(), next)
	require.ErrorIs(t, err, store.ErrConflict)
	require.Nil(t, behind.Load(), "the failpoint was not reached")
	require.Len(t, distinct(t, s, con, "s"), 2)
}
