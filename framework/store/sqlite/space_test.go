package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

func TestTheReserveIsFivePercentAndAtMostAGiB(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct {
		size, reserve uint64
	}{{0, 0}, {100 * mib, 5 * mib}, {20 << 30, 1 << 30}, {10 << 40, 1 << 30}} {
		s := Space{Size: test.size}
		require.Equal(t, test.reserve, s.Reserve())
		s.Free = test.reserve
		require.False(t, s.Low())
		if test.reserve > 0 {
			s.Free--
			require.True(t, s.Low())
		}
	}
}

func TestTheRealDiskTellsItsRoom(t *testing.T) {
	t.Parallel()
	s, err := DiskSpace(t.TempDir())
	if errors.Is(err, ErrNoSpaceInfo) {
		return // the guard is off on this system
	}
	require.NoError(t, err)
	require.Positive(t, s.Size)
	require.LessOrEqual(t, s.Free, s.Size)
	_, err = DiskSpace("/nowhere/at/all")
	require.Error(t, err)
}

func TestANearlyFullDiskRefusesWhatTheStoreWouldGrowByAndHeals(t *testing.T) {
	t.Parallel()
	var free atomic.Uint64
	free.Store(100)
	var said bytes.Buffer
	s := open(t, Options{
		Dir: t.TempDir(), manual: true, spaceEvery: -1, Logger: slog.New(slog.NewTextHandler(&said, nil)),
		Space: func(string) (Space, error) { return Space{Free: free.Load() << 20, Size: 1000 << 20}, nil },
	})
	id := connection(t, s)
	n := 0
	unit := func() store.Unit {
		n++
		return deliveryUnit(id, storetest.Epoch(s, id), strconv.Itoa(n))
	}
	commit := func() error { _, err := s.Commit(t.Context(), unit()); return err }
	offer := func() error { _, err := s.Offer(t.Context(), unit()); return err }
	require.NoError(t, commit())
	require.NoError(t, offer())

	free.Store(49)
	for range 3 {
		for _, err := range []error{commit(), offer(), s.Ping(t.Context())} {
			require.ErrorIs(t, err, store.ErrDiskLow)
			require.ErrorIs(t, err, store.ErrUnavailable, "who waits for a store waits for this too")
			require.ErrorContains(t, err, "49 MiB of 1000 MiB are free")
		}
	}
	_, err := s.Commit(t.Context(), store.Unit{
		ID: store.NewCommitID(), ConnectionID: id, Epoch: storetest.Epoch(s, id), At: time.Now(),
		Sink: &store.SinkWrite{},
	})
	require.NotErrorIs(t, err, store.ErrDiskLow, "what sinks have done lets the retention make room")
	require.NoError(t, s.Trim(t.Context()), "the retention makes room")
	_, err = s.Events(t.Context(), id, "s", 0, 10)
	require.NoError(t, err)

	free.Store(51)
	require.ErrorIs(t, commit(), store.ErrDiskLow, "at the edge it does not change its mind")
	free.Store(56)
	require.NoError(t, commit())
	require.NoError(t, s.Ping(t.Context()))
	require.Equal(t, 1, bytes.Count(said.Bytes(), []byte("webhooks are refused")), &said)
	require.Equal(t, 1, bytes.Count(said.Bytes(), []byte("there is room on the disk again")), &said)
}

func TestADiskThatDoesNotTellItsRoomRefusesNothing(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	s := open(t, Options{
		Dir: t.TempDir(), manual: true, spaceEvery: -1, Logger: slog.New(slog.NewTextHandler(&said, nil)),
		Space: func(string) (Space, error) { return Space{}, ErrNoSpaceInfo },
	})
	id := connection(t, s)
	for i := range 3 {
		_, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), strconv.Itoa(i)))
		require.NoError(t, err)
	}
	require.Equal(t, 1, bytes.Count(said.Bytes(), []byte("free space of the store")), &said)
}

func TestTheDiskIsNotAskedForEveryUnit(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := open(t, Options{
		Dir: t.TempDir(), manual: true, spaceEvery: time.Hour,
		Space: func(string) (Space, error) { asked.Add(1); return Space{Free: 1, Size: 1}, nil },
	})
	id := connection(t, s)
	for i := range 5 {
		_, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), strconv.Itoa(i)))
		require.NoError(t, err)
	}
	require.Equal(t, int64(1), asked.Load())
}
