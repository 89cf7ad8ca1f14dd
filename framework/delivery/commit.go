package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Bounds of a commit. What lies between two is sent again after a crash.
const (
	commitEvery  = 100 * time.Millisecond
	commitEvents = 1000
	commitWait   = 30 * time.Second
)

// unsaved reports whether there is something to commit.
func (s *runner) unsaved() bool {
	if len(s.pending.Park)+len(s.pending.Unpark)+len(s.pending.Bury)+len(s.pending.Raise)+len(s.pending.Discard)+len(s.keeping) > 0 {
		return true
	}
	for _, l := range s.lanes {
		if l.dirty {
			return true
		}
	}
	return false
}

// commit commits what has gathered, when it is time.
func (s *runner) commit() {
	now := time.Now()
	due := s.ending || s.passed >= commitEvents || !now.Before(s.committed.Add(commitEvery))
	if s.committing || !due || now.Before(s.commitAgain) || !s.unsaved() {
		return
	}
	u := store.Unit{
		ID: store.NewCommitID(), ConnectionID: s.ConnectionID, Epoch: s.epoch, At: now, Sink: &store.SinkWrite{},
	}
	*u.Sink = s.pending
	for _, l := range slices.Clone(s.lanes) {
		if l.replay != nil && l.dirty {
			s.keepReplay(l)
		}
	}
	u.State = s.keeping
	for _, l := range s.lanes {
		if l.dirty {
			u.Sink.Offsets = append(u.Sink.Offsets, store.OffsetWrite{
				Source: l.source, Next: l.next, Delivered: l.delivered, Dead: l.dead, DeliveredAt: l.deliveredAt, Failure: l.failure,
			})
			l.dirty, l.delivered, l.dead, l.deliveredAt, l.failure = false, 0, 0, time.Time{}, nil
		}
	}
	waiters := s.waiters
	s.pending, s.keeping, s.passed, s.waiters = store.SinkWrite{}, nil, 0, nil
	s.committing, s.committed = true, now
	s.aside(func() {
		// Not the sink's own context: what was delivered is worth keeping also
		// when the sink ends.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.sending), commitWait)
		defer cancel()
		_, err := s.store.Commit(ctx, u)
		s.post(func() { s.saved(u, err, waiters) })
	})
}

// saved hears what became of a commit. One that failed is made again with what
// has come in the meantime: offsets only move forward, rows are replaced by
// their position, and letters are known by their id.
func (s *runner) saved(u store.Unit, err error, waiters []chan error) {
	s.committing = false
	s.waiters = append(waiters, s.waiters...)
	switch {
	case err == nil:
		s.commitAgain = time.Time{}
		answer(waiters, nil)
		s.waiters = s.waiters[len(waiters):]
		s.engine.config.Changed(s.ConnectionID)
		return
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrNotFound):
		err = errors.Join(errLease, err)
		s.log.Warn("sink ends here", "err", err)
		s.abandon(err)
		return
	}
	s.log.Error("commit offsets; they are tried again", "err", err)
	s.commitAgain = time.Now().Add(readAgain)
	earlier := *u.Sink
	// What has been parked or settled since is the truth of its position.
	earlier.Park = slices.DeleteFunc(slices.Clone(earlier.Park), func(row store.ParkedEvent) bool { return slices.Contains(s.pending.Unpark, row.Position) })
	earlier.Unpark = slices.DeleteFunc(slices.Clone(earlier.Unpark), func(at store.Position) bool {
		return slices.ContainsFunc(s.pending.Park, func(row store.ParkedEvent) bool { return row.Position == at })
	})
	s.pending.Park = append(earlier.Park, s.pending.Park...)
	s.pending.Unpark = append(earlier.Unpark, s.pending.Unpark...)
	s.pending.Bury = append(earlier.Bury, s.pending.Bury...)
	s.pending.Raise = append(earlier.Raise, s.pending.Raise...)
	s.pending.Discard = append(earlier.Discard, s.pending.Discard...)
	s.keeping = append(u.State, s.keeping...)
	for _, o := range earlier.Offsets {
		l := s.laneOf(o.Source)
		l.dirty = true
		l.delivered += o.Delivered
		l.dead += o.Dead
		if l.deliveredAt.IsZero() {
			l.deliveredAt = o.DeliveredAt
			if l.failure == nil {
				l.failure = o.Failure
			}
		}
	}
}

// abandon drops everything, for a reason: another process goes on from what is in
// the store. Who waits for a change to be saved hears that it was not.
func (s *runner) abandon(why error) {
	s.ending = true
	s.tell(why)
	s.stopReading()
	s.stopSending()
	s.pending, s.keeping = store.SinkWrite{}, nil
	for _, l := range s.lanes {
		l.dirty = false
	}
}

// keep writes a piece of the sink's state with the next commit; nil removes it.
func (s *runner) keep(name string, value any) {
	w := store.StateWrite{Name: name}
	if value != nil {
		encoded, err := json.Marshal(value)
		if err != nil {
			s.log.Error("encode state", "name", name, "err", err)
			return
		}
		w.Value = encoded
	}
	s.keeping = append(s.keeping, w)
}
