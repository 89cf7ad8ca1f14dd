//go:build unix

package postgres

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

func TestProcessesThatStartAtOnceMakeTheSchemaOnce(t *testing.T) {
	t.Parallel()
	url := database(t)
	var running sync.WaitGroup
	for range 4 {
		conn := dial(t, url)
		running.Go(func() {
			if err := migrate(t.Context(), conn); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	running.Wait()
	var applied int
	require.NoError(t, dial(t, url).QueryRow(t.Context(), "SELECT count(*) FROM schema_migrations").Scan(&applied))
	list, err := readMigrations()
	require.NoError(t, err)
	require.Equal(t, len(list), applied)
	open(t, Options{URL: url})
}

func TestANewerSchemaIsRefusedNamingBothVersions(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := dial(t, url)
	require.NoError(t, migrate(t.Context(), conn))
	_, err := conn.Exec(t.Context(), "INSERT INTO schema_migrations (version, name) VALUES (4711, '4711_later.sql')")
	require.NoError(t, err)
	_, err = Open(t.Context(), Options{URL: url})
	require.ErrorIs(t, err, store.ErrNewerSchema)
	require.ErrorContains(t, err, "version 4711, this one knows up to ")
}

func TestSegmentsOfTheLogAreReadInOrderAndDroppedWhole(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, Options{URL: url, segment: 1, settled: -1})
	con := connection(t, s, "acme")
	conn := dial(t, url)
	for _, key := range []string{"1", "2", "3"} {
		_, err := s.Commit(t.Context(), unit(s, con, fact("s", key), fact("s", key+"b")))
		require.NoError(t, err)
		require.NoError(t, s.openSegment(t.Context()))
	}
	require.Len(t, distinct(t, s, con, "s"), 6)
	var oldest string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT tableoid::regclass::text FROM events ORDER BY segment LIMIT 1").Scan(&oldest))
	kept := func(count int64) (there bool) {
		s.retention.Store(&store.RetentionPolicy{Default: store.Retention{EventCount: count}})
		require.NoError(t, s.retain(t.Context()))
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", oldest).Scan(&there))
		return there
	}
	require.True(t, kept(5), "one event of the segment is kept")
	// A transaction that reads the log holds the segment, and is not made to wait.
	reader, err := dial(t, url).Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), "SELECT FROM events")
	require.NoError(t, err)
	require.True(t, kept(4))
	require.NoError(t, reader.Rollback(t.Context()))
	require.False(t, kept(4))
	events, err := s.Events(t.Context(), con.ID, "s", -1, 10)
	require.NoError(t, err)
	require.Len(t, events, 4)
	require.Equal(t, int64(3), events[0].Sequence)
	// The memory of keys outlives the events.
	r, err := s.Commit(t.Context(), unit(s, con, fact("s", "1"), fact("s", "4")))
	require.NoError(t, err)
	require.Equal(t, 1, r.Duplicates)
	require.Equal(t, int64(1), r.Events[0].Sequence)
	require.Equal(t, int64(7), r.Events[1].Sequence)
}

func TestASegmentIsOpenedBesideReadersAndTheWriter(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, Options{URL: url})
	con := connection(t, s, "acme")
	tx, err := dial(t, url).Begin(t.Context())
	require.NoError(t, err)
	// A reader and a writer that are in the middle of it.
	_, err = tx.Exec(t.Context(), "SELECT FROM events")
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE events IN ROW EXCLUSIVE MODE")
	require.NoError(t, err)
	s.options.segment = 1
	require.NoError(t, s.openSegment(t.Context()))
	_, err = s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
}

func TestErrorsAboutTheAddressHideThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://weir:hunter2@127.0.0.1:notaport/db",
		"postgres://weir:hun/ter2@127.0.0.1:5432/db",
		"postgres://weir:hunter2%zz@127.0.0.1/db",
		"postgres://weir:hunter2@127.0.0.1:1/db?connect_timeout=1",
		"host=127.0.0.1 port=1 user=weir password=hunter2 dbname=db sslmode=what",
	} {
		_, err := Open(t.Context(), Options{URL: url})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "ter2")
		require.NotContains(t, err.Error(), ":hun")
	}
	_, err := Open(t.Context(), Options{})
	require.ErrorContains(t, err, "the URL of the database is not set")
	_, err = Open(t.Context(), Options{URL: "postgres://weir@127.0.0.1:1/db"})
	require.ErrorIs(t, err, store.ErrUnavailable)
}

func TestOptionsAreRefusedAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Options{Node: "a\x00", Readers: -1, QueryTimeout: -1, QueueUnits: -1, QueueBytes: -1})
	require.Error(t, err)
	require.Len(t, strings.Split(err.Error(), "\n"), 6)
}
