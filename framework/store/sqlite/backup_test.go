//go:build unix

package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
	"github.com/weirhq/weir/framework/store/transfer"
)

func TestABackupInTheMiddleOfTrafficIsAStoreOfOneMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	id := connection(t, s)
	polled, err := s.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "polled", Connector: "stripe", Type: "source"})
	require.NoError(t, err)
	var acknowledged atomic.Int64
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), strconv.Itoa(i))); err != nil {
				t.Errorf("commit: %v", err)
				return
			}
			acknowledged.Add(1)
		}
	})
	pages := storetest.NewPages(s, polled.ID)
	for range 20 {
		require.NoError(t, pages.Commit(t))
	}
	file := filepath.Join(t.TempDir(), "weir.backup")
	before := acknowledged.Load()
	manifest, err := Backup(t.Context(), dir, file)
	require.NoError(t, err)
	close(stop)
	traffic.Wait()
	require.GreaterOrEqual(t, manifest.Rows("events"), before)
	require.Equal(t, int64(1), manifest.LogEpoch)

	other := t.TempDir()
	_, err = Restore(t.Context(), file, other)
	require.NoError(t, err)
	restored := open(t, Options{Dir: other})
	require.Greater(t, restored.LogEpoch(), int64(1), "a reader of the old log must be told")
	require.Equal(t, int64(1), s.LogEpoch())
	events, err := restored.Events(t.Context(), id, "s", 0, 10_000)
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(len(events)), before)
	for i, e := range events {
		require.Equal(t, int64(i+1), e.Sequence)
		require.JSONEq(t, fmt.Sprintf(`{"id":"%d"}`, i), string(e.Payload))
	}
	there := storetest.NewPages(restored, polled.ID)
	require.Equal(t, 20, there.Agree(t))
	// It goes on from that moment: what the backup has is known, the rest is new.
	for _, i := range []int{0, len(events)} {
		r, err := restored.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(restored, id), strconv.Itoa(i)))
		require.NoError(t, err)
		require.Equal(t, i == 0, r.DuplicateDelivery)
	}
	require.NoError(t, there.Commit(t))
	require.Equal(t, 21, there.Agree(t))

	again := t.TempDir()
	_, err = Restore(t.Context(), file, again)
	require.NoError(t, err)
	_, err = Restore(t.Context(), file, again)
	require.ErrorIs(t, err, transfer.ErrNotEmpty)
	_, err = Backup(t.Context(), dir, file)
	require.ErrorIs(t, err, transfer.ErrNotEmpty, "a backup was overwritten")
	_, err = Restore(t.Context(), file, dir)
	require.ErrorIs(t, err, store.ErrLocked)
}

// A filled store comes back with everything in it.
func TestABackupHoldsEverything(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "b")
	s := open(t, Options{Dir: dir, Clock: storetest.FilledAt, manual: true})
	storetest.Fill(t, s)
	_, err := Backup(t.Context(), dir, file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "a backup holds the secret of the store")
	other := t.TempDir()
	_, err = Restore(t.Context(), file, other)
	require.NoError(t, err)
	storetest.CheckFilled(t, open(t, Options{Dir: other, Clock: storetest.FilledAt, manual: true}))
}

func TestADamagedBackupIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, folder := t.TempDir(), t.TempDir()
	s := open(t, Options{Dir: dir, Clock: storetest.FilledAt, manual: true})
	storetest.Fill(t, s)
	file := filepath.Join(folder, "b")
	_, err := Backup(t.Context(), dir, file)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	// The pages of the file are all well.
	flipped := bytes.ReplaceAll(whole, []byte("9007199254740993"), []byte("8007199254740993"))
	require.NotEqual(t, whole, flipped)
	plain, err := os.ReadFile(filepath.Join(dir, FileName))
	require.NoError(t, err)
	for name, content := range map[string][]byte{
		"flipped": flipped, "cut": whole[:len(whole)/2], "other": []byte("not a database, but long enough to be one"), "store": plain, "empty": nil,
	} {
		damaged := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(damaged, content, 0o600))
		into := t.TempDir()
		_, err := Restore(t.Context(), damaged, into)
		require.Error(t, err, name)
		if name == "flipped" {
			require.ErrorContains(t, err, "table events has")
		}
		left, err := filepath.Glob(filepath.Join(into, FileName+"*"))
		require.NoError(t, err)
		require.Empty(t, left, name)
	}
	_, err = Backup(t.Context(), t.TempDir(), filepath.Join(folder, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
