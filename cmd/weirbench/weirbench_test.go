package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test's own binary be the servers that are measured.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func short(t *testing.T) options {
	t.Helper()
	return options{rounds: 1, connections: 4, duration: 100 * time.Millisecond, warmup: 50 * time.Millisecond, dir: t.TempDir(), records: 450, events: 500, payload: 1024, keep: true}
}

// rows counts the rows of a table in the store of one side.
func rows(t *testing.T, o options, side, table string) int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(o.dir, "*", side, "weir.db"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + files[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	s, err := conn.Prepare("SELECT count(*) FROM " + table)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	result, err := s.Query(nil) //nolint:staticcheck // there is nothing to cancel
	require.NoError(t, err)
	values := make([]driver.Value, 1)
	require.NoError(t, result.Next(values))
	require.NoError(t, result.Close())
	n, ok := values[0].(int64)
	require.True(t, ok)
	return n
}

func TestBothSidesOfPollWriteTheSameRows(t *testing.T) {
	t.Parallel()
	o := short(t)
	require.NoError(t, polls(t.Context(), o))
	for table, want := range map[string]int64{"events": 450, "keys": 900} {
		require.Equal(t, want, rows(t, o, "0-weir-poll", table), table)
		// The floor's stream was made with one event.
		require.Equal(t, want+map[string]int64{"events": 1, "keys": 2}[table], rows(t, o, "0-floor-poll", table), table)
	}
}

func TestEveryAnswerOfWebhooksIsOneEvent(t *testing.T) {
	t.Parallel()
	o := short(t)
	require.NoError(t, webhooks(t.Context(), o))
	for side, made := range map[string]int64{"0-weir": 0, "0-floor-sqlite": 1} {
		events := rows(t, o, side, "events") - made
		require.Positive(t, events, side)
		require.Equal(t, events, rows(t, o, side, "delivery_keys"), side)
		require.Equal(t, 2*events, rows(t, o, side, "keys")-2*made, side)
	}
}

func TestGrowthMeasuresASeededStore(t *testing.T) {
	t.Parallel()
	o := short(t)
	require.NoError(t, growth(t.Context(), o))
	require.Greater(t, rows(t, o, "full", "events"), int64(501))
}

func TestGoodRequestsAreRecordedOnceAmongBadOnes(t *testing.T) {
	t.Parallel()
	o := short(t)
	o.duration, o.connections = 2*time.Second, 64
	if os.Getenv("WEIR_TEST_ALL") != "1" {
		o.duration, o.connections = 300*time.Millisecond, 8
	}
	require.NoError(t, mixed(t.Context(), o)) // which counts
}

func TestAllThatIsDeliveredIsMeasured(t *testing.T) {
	t.Parallel()
	o := short(t)
	o.records, o.sinks, o.clients = 51, 10, 10
	for _, work := range []string{"deliver", "latency", "sinks", "crowd"} {
		t.Run(work, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, works[work](t.Context(), o)) // which counts what comes
		})
	}
}
