package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

const (
	// storeRetryFirst and storeRetryMost bound the wait before a store is asked
	// again that could not answer. It heals by itself, so this goes on until the
	// scheduler stops: with the store gone, there is nothing else to do.
	storeRetryFirst = 100 * time.Millisecond
	storeRetryMost  = 5 * time.Second
	// farewell bounds the last commit of a run that was canceled.
	farewell = 2 * time.Second
)

// unit returns a unit for e's connection, made now.
func (s *Scheduler) unit(e *stream) store.Unit {
	return store.Unit{ID: store.NewCommitID(), ConnectionID: e.ConnectionID, Epoch: e.epoch, At: s.clock.wall()}
}

// commit records u. While the store is busy, unavailable or slow it tries again
// with the same unit until ctx ends. A try that seemed to fail may have
// succeeded: the unit's checkpoint then carries the unit's own commit id, which
// the store takes for success. A unit without a checkpoint may count a failure
// twice then; its events have their keys.
func (s *Scheduler) commit(ctx context.Context, u store.Unit) (receipt store.Receipt, err error) {
	err = s.ask(ctx, u.ConnectionID, "commit", func(ctx context.Context) error {
		receipt, err = s.store.Commit(ctx, u)
		return err
	})
	return receipt, err
}

// ask calls the store about a connection until it answers.
func (s *Scheduler) ask(ctx context.Context, connectionID, what string, call func(context.Context) error) error {
	pause := storeRetryFirst
	for try := 1; ; try++ {
		err := s.askOnce(ctx, call)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrFenced):
			s.fence(connectionID, err)
			return err
		case errors.Is(err, store.ErrClosed):
			s.halt(err)
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !storeHeals(err):
			return err
		}
		if try == 1 {
			s.log.Warn("store does not answer; the page is kept and tried again", "what", what, "err", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		pause = min(2*pause, storeRetryMost)
	}
}

func (s *Scheduler) askOnce(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.limits.StoreTimeout)
	defer cancel()
	return call(ctx)
}

func storeHeals(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBusy) || errors.Is(err, context.DeadlineExceeded)
}

// refused gives an error of Commit its class. A checkpoint that was moved will
// be read again, and a stream that was renamed is a newer connector's; anything
// else is about the unit's content, and the same page would be refused again.
func refused(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if errors.Is(err, store.ErrRenamed) {
		return fmt.Errorf("%w: %w", framework.ErrNewerConnector, err)
	}
	return framework.Permanent(err)
}
