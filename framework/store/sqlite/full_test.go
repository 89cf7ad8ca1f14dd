//go:build unix

package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// A file system that is full is played by the limit of the process on the size
// of its files: it needs no mount and no rights, and can be taken away again.
// Writes then fail with EFBIG where a full disk says ENOSPC.

// childFull commits until the disk is full, sees that units are refused as those
// of an unavailable store are, and goes on when there is room again.
func childFull(ctx context.Context, dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(ctx, Options{Dir: dir, manual: true})
	if err != nil {
		return err
	}
	con, err := s.EnsureConnection(ctx, benchConnection)
	if err != nil {
		return err
	}
	n := 0
	commit := func() error {
		n++
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := s.Commit(ctx, deliveryUnit(con.ID, storetest.Epoch(s, con.ID), strconv.Itoa(n)))
		if err == nil {
			fmt.Println("acknowledged", n)
		}
		return err
	}
	var room syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
		return err
	}
	full := room
	full.Cur = 8 << 10
	for round := range 3 {
		for range 10 {
			if err := commit(); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		if _, err := s.Events(ctx, con.ID, "s", 0, 10); err != nil {
			return err
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
			return err
		}
		// Nobody can know whether the first unit was committed: it waits for that.
		if err := commit(); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("round %d: the first unit is answered with %w", round, err)
		}
		for range 5 {
			if err := commit(); !errors.Is(err, store.ErrUnavailable) {
				return fmt.Errorf("round %d: a full disk is answered with %w", round, err)
			}
		}
		if err := s.Ping(ctx); !errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("ping of a full disk: %w", err)
		}
		if _, err := s.Events(ctx, con.ID, "s", 0, 10); err != nil {
			return fmt.Errorf("read while the disk is full: %w", err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
			return err
		}
		for began := time.Now(); commit() != nil; {
			if time.Since(began) > 20*time.Second {
				return fmt.Errorf("round %d: there is room again, and the store does not heal", round)
			}
			runtime.Gosched()
		}
	}
	fmt.Println("attempted", n)
	return s.Close()
}

func TestAFullDiskRefusesUnitsLosesNothingAndHeals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := spawn(t, dir, "full")
	acknowledged, attempted := map[int]bool{}, 0
	for child.lines.Scan() {
		line := child.lines.Text()
		require.NotContains(t, line, "child failed")
		var n int
		if _, err := fmt.Sscanf(line, "acknowledged %d", &n); err == nil {
			acknowledged[n] = true
		}
		_, _ = fmt.Sscanf(line, "attempted %d", &attempted)
	}
	require.NoError(t, child.cmd.Wait())
	require.Positive(t, attempted)
	s := open(t, Options{Dir: dir})
	inWriter(t, s, checkIntegrity)
	events, err := s.Events(t.Context(), connection(t, s), "s", 0, 10_000)
	require.NoError(t, err)
	for _, e := range events {
		var n int
		_, err := fmt.Sscanf(string(e.Payload), `{"id":"%d"}`, &n)
		require.NoError(t, err)
		require.LessOrEqual(t, n, attempted)
		delete(acknowledged, n)
	}
	require.Empty(t, acknowledged, "acknowledged units that are gone")
	// The first unit of each round may be there without having been acknowledged.
	require.LessOrEqual(t, len(events), 3*(10+1+1))
}

func TestADamagedPageFailsTheReadThatMeetsItAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, manual: true})
	id := connection(t, s)
	for i := range 200 {
		_, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), strconv.Itoa(i)))
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	content, err := os.ReadFile(filepath.Join(dir, FileName))
	require.NoError(t, err)
	page := bytes.Index(content, []byte(`{"id":"0"}`)) / 4096
	require.Positive(t, page)
	f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_RDWR, 0)
	require.NoError(t, err)
	junk := make([]byte, 4096)
	for i := range junk {
		junk[i] = byte(i * 7)
	}
	_, err = f.WriteAt(junk, int64(page)*4096)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	s = open(t, Options{Dir: dir, manual: true})
	_, err = s.Events(t.Context(), id, "s", 0, 10)
	require.ErrorContains(t, err, "malformed")
	r, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), "new"))
	require.NoError(t, err, "the other pages are well")
	require.Equal(t, int64(201), r.Events[0].Sequence)
	_, err = s.Events(t.Context(), id, "s", 200, 10)
	require.NoError(t, err)
	_, err = Backup(t.Context(), dir, filepath.Join(t.TempDir(), "b"))
	require.Error(t, err, "a backup of a damaged store")
}
