//go:build unix

package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/store/storetest"
	"github.com/weirhq/weir/framework/store/transfer"
)

// filled is a SQLite store with a little of everything, closed.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Clock: storetest.FilledAt})
	require.NoError(t, err)
	storetest.Fill(t, s)
	require.NoError(t, s.Close())
	return dir
}

func source(t *testing.T, dir string) transfer.Source {
	t.Helper()
	s, err := sqlite.OpenSource(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func target(t *testing.T, url string) transfer.Target {
	t.Helper()
	to, err := CreateTarget(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, to.Close()) })
	return to
}

func TestAStoreMovesToPostgreSQLAndBackWithEverythingInIt(t *testing.T) {
	t.Parallel()
	url := database(t)
	var last transfer.Progress
	moved, err := transfer.Move(t.Context(), source(t, filled(t)), target(t, url), transfer.Options{Progress: func(p transfer.Progress) {
		require.GreaterOrEqual(t, p.Done, last.Done)
		last = p
	}})
	require.NoError(t, err)
	require.Equal(t, last.Total, last.Done)
	require.Positive(t, last.Total)

	from, err := OpenSource(t.Context(), url, false)
	require.NoError(t, err)
	dir := t.TempDir()
	to, err := sqlite.CreateTarget(t.Context(), dir)
	require.NoError(t, err)
	back, err := transfer.Move(t.Context(), from, to, transfer.Options{})
	require.NoError(t, err)
	require.Equal(t, moved, back, "counts and digests of every table")
	require.NoError(t, from.Close())
	require.NoError(t, to.Close())

	again, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Clock: storetest.FilledAt})
	require.NoError(t, err)
	storetest.CheckFilled(t, again)
	require.NoError(t, again.Close())
	storetest.CheckFilled(t, open(t, Options{URL: url, clock: storetest.FilledAt}))
}

// Whoever adds a table or a column to one backend learns here that it must be
// in the other one too, or in the list of what is of one backend only.
func TestBothSchemasHaveTheSameTablesAndColumns(t *testing.T) {
	t.Parallel()
	to := target(t, database(t))
	theirs, err := to.Tables(t.Context())
	require.NoError(t, err)
	ours, err := source(t, filled(t)).Tables(t.Context())
	require.NoError(t, err)
	sorted := func(tables []transfer.Table) map[string][]string {
		out := map[string][]string{}
		for _, table := range tables {
			out[table.Name] = table.Columns
		}
		return out
	}
	a, b := sorted(ours), sorted(theirs)
	for name := range a {
		require.ElementsMatch(t, a[name], b[name], name)
		delete(b, name)
	}
	require.Empty(t, b)
}

// faulty fails, or changes what it is given.
type faulty struct {
	transfer.Target
	fail   string
	change string
}

var errFaulty = errors.New("the target has failed")

func (f *faulty) Write(ctx context.Context, t transfer.Table, rows []transfer.Row) error {
	if t.Name == f.fail {
		return errFaulty
	}
	if t.Name == f.change {
		rows = rows[1:]
	}
	return f.Target.Write(ctx, t, rows)
}

func TestAMoveThatFailsLeavesTheTargetAsItWas(t *testing.T) {
	t.Parallel()
	from := source(t, filled(t))
	url, dir := database(t), t.TempDir()
	for _, f := range []faulty{{fail: "events"}, {fail: "streams"}, {change: "keys"}, {change: "runs"}} {
		for _, create := range []func() (transfer.Target, error){
			func() (transfer.Target, error) { return CreateTarget(t.Context(), url) },
			func() (transfer.Target, error) { return sqlite.CreateTarget(t.Context(), dir) },
		} {
			var err error
			f.Target, err = create()
			require.NoError(t, err)
			_, err = transfer.Move(t.Context(), from, &f, transfer.Options{})
			if f.fail != "" {
				require.ErrorIs(t, err, errFaulty)
			} else {
				require.ErrorContains(t, err, "table "+f.change+" of the target differs from the source")
			}
			require.NoError(t, f.Close())
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "weir.db*"))
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = transfer.Move(t.Context(), from, target(t, url), transfer.Options{})
	require.NoError(t, err, "a failed move is in the way of the next one")
}

func TestAMoveRefusesAStoreInUseAndATargetThatHoldsOne(t *testing.T) {
	t.Parallel()
	url, dir := database(t), filled(t)
	s := open(t, Options{URL: url})
	_, err := OpenSource(t.Context(), url, false)
	require.ErrorIs(t, err, store.ErrLocked)
	_, err = CreateTarget(t.Context(), url)
	require.ErrorIs(t, err, store.ErrLocked)
	connection(t, s, "acme")
	require.NoError(t, s.Close())
	_, err = transfer.Move(t.Context(), source(t, dir), target(t, url), transfer.Options{})
	require.ErrorIs(t, err, transfer.ErrNotEmpty)
	_, err = sqlite.OpenSource(t.Context(), dir)
	require.ErrorIs(t, err, store.ErrLocked)
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "weir.db"), nil, 0o600))
	_, err = sqlite.CreateTarget(t.Context(), other)
	require.ErrorIs(t, err, transfer.ErrNotEmpty)
	_, err = sqlite.OpenSource(t.Context(), t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestABackupOfPostgreSQLIsTakenBesideTheProcessThatWrites(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, Options{URL: url, clock: storetest.FilledAt})
	storetest.Fill(t, s)
	from, err := OpenSource(t.Context(), url, true)
	require.NoError(t, err)
	// What is written after its moment is not in it.
	con, err := s.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "later", Connector: "stripe", Type: "source"})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "backup")
	manifest, err := sqlite.BackupOf(t.Context(), from, file, nil)
	require.NoError(t, err)
	require.NoError(t, from.Close())
	require.Contains(t, []int64{2, 3}, manifest.Rows("connections"), "the deleted one is there until its rows are removed, beside all this")
	dir := t.TempDir()
	_, err = sqlite.Restore(t.Context(), file, dir)
	require.NoError(t, err)
	restored, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Clock: storetest.FilledAt})
	require.NoError(t, err)
	require.Greater(t, restored.LogEpoch(), s.LogEpoch())
	storetest.CheckFilled(t, restored)
	require.NoError(t, restored.Close())
}
