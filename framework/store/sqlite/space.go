package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/framework/store"
)

const (
	// reserveShare is the part of a file system that is left free: one 20th, 5 %.
	reserveShare = 20
	// maxReserve is the most that is left free. What the log, a copy of it into the
	// file and the sinks' progress may need is bounded, so that 5 % of a big disk
	// would only be taken from its owner.
	maxReserve = 1 << 30
	// spaceEvery is how old the answer of the file system may be.
	spaceEvery = time.Second
)

// Space is the room on the file system of a folder, in bytes.
type Space struct {
	// Free is what this user can still write, Size how big the file system is.
	Free, Size uint64
}

// Reserve is how much must be free for a store to take more, in bytes: 5 % of
// the file system, but at most 1 GiB.
func (s Space) Reserve() uint64 { return min(s.Size/reserveShare, maxReserve) }

// Low says that less than the reserve is free.
func (s Space) Low() bool { return s.Free < s.Reserve() }

// enough says that a store which took nothing more may go on. It is a little
// more than not low, so that a store at the edge does not change its mind with
// every page.
func (s Space) enough() bool { return s.Free >= s.Reserve()+s.Reserve()/10 }

// ErrNoSpaceInfo says that this system does not tell how much room there is.
var ErrNoSpaceInfo = errors.New("this system does not tell the free space of a file system")

// room refuses what a store would grow by while its file system is nearly full:
// SQLite needs room to commit, to copy its log back and to give room back, and
// everything else on the disk needs some too.
type room struct {
	dir   string
	look  func(dir string) (Space, error)
	every time.Duration
	log   *slog.Logger
	began time.Time

	// due is when to look again, since began.
	due atomic.Int64
	// looking is held by the one that looks; nobody waits for it.
	looking sync.Mutex
	// low is why nothing is taken, nil while there is room.
	low atomic.Pointer[error]
	// mute is set when the system has said that it does not tell.
	mute bool
}

func newRoom(dir string, o Options) *room {
	return &room{dir: dir, look: o.Space, every: o.spaceEvery, log: o.Logger, began: time.Now()}
}

// err says that there is no room for more, as [store.ErrDiskLow].
func (r *room) err() error {
	if now := time.Since(r.began); now >= time.Duration(r.due.Load()) && r.looking.TryLock() {
		r.ask()
		r.due.Store(int64(time.Since(r.began) + r.every))
		r.looking.Unlock()
	}
	if low := r.low.Load(); low != nil {
		return *low
	}
	return nil
}

// admit is err for the units that a store grows by. What sinks have done is
// always taken: it is little, and the retention can remove nothing before it.
func (r *room) admit(u *store.Unit) error {
	if u.Sink != nil && len(u.Emissions) == 0 {
		return nil
	}
	if err := r.err(); err != nil {
		return fmt.Errorf("commit unit %q: %w", u.ID, err)
	}
	return nil
}

func (r *room) ask() {
	s, err := r.look(r.dir)
	if err != nil {
		if !r.mute {
			r.mute = true
			r.log.Warn("free space of the store's disk is not known; nothing is refused before it is full", "folder", r.dir, "err", err)
		}
		r.low.Store(nil)
		return
	}
	was := r.low.Load() != nil
	switch {
	case s.Low():
		err := fmt.Errorf("%w: %d MiB of %d MiB are free on the disk of %s, and %d MiB must be; make room there or shorten the retention",
			store.ErrDiskLow, s.Free>>20, s.Size>>20, r.dir, s.Reserve()>>20)
		r.low.Store(&err)
		if !was {
			r.log.Error("webhooks are refused and runs wait", "err", err)
		}
	case was && s.enough():
		r.low.Store(nil)
		r.log.Info("there is room on the disk again", "folder", r.dir, "free_mib", s.Free>>20)
	}
}

// DiskSpace returns how much room there is on the store's file system now and
// how much there must be, in bytes, or [ErrNoSpaceInfo].
func (s *Store) DiskSpace() (free, reserve uint64, err error) {
	space, err := s.options.Space(s.options.Dir)
	return space.Free, space.Reserve(), err
}
