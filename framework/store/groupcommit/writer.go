package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Waits between attempts.
const (
	retryWait   = time.Millisecond
	maxRetry    = 50 * time.Millisecond
	reopenWait  = 20 * time.Millisecond
	maxReopen   = 2 * time.Second
	lostMessage = "the outcome of the last commit is not known until the database answers again"
)

// run is the writer: the only goroutine that calls the backend.
func (e *Engine) run() {
	defer close(e.done)
	var batch []*op
	for {
		var ok bool
		batch, ok = e.queue.take(batch)
		if !ok {
			return
		}
		if batch[0].do != nil {
			batch[0].done <- answer{err: e.runDo(batch[0])}
			continue
		}
		start := time.Now()
		e.commit(batch)
		e.stats.nanos.Add(int64(time.Since(start)))
		for i, o := range batch {
			if o.err == nil {
				e.stats.units.Add(1)
				e.stats.events.Add(int64(o.receipt.Appended))
			}
			o.done <- answer{o.receipt, o.err}
			batch[i] = nil
		}
	}
}

func (e *Engine) runDo(o *op) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.config.Logger.Error("store writer panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in the store writer: %v", p)
			e.doubt = true
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), e.config.Timeout)
	defer cancel()
	if err := e.settleDoubt(ctx); err != nil {
		return err
	}
	err = o.do(ctx)
	if errors.Is(err, ErrDoubt) {
		e.doubt = true
	}
	return err
}

// settleDoubt reopens the backend when its connection is in doubt.
func (e *Engine) settleDoubt(ctx context.Context) error {
	if !e.doubt {
		return nil
	}
	if err := guardPanic(func() error { return e.backend.Reopen(ctx) }); err != nil {
		return fmt.Errorf("reopen store: %w", errors.Join(store.ErrUnavailable, err))
	}
	e.doubt = false
	return nil
}

// commit commits ops and leaves each one's receipt or error in it.
func (e *Engine) commit(ops []*op) {
	err := e.attempts(ops)
	if err == nil {
		return
	}
	e.config.Logger.Error("store cannot be written", "units", len(ops), "err", err)
	for _, o := range ops {
		o.receipt, o.err = store.Receipt{}, err
	}
}

// attempts tries the batch until it is committed or cannot be. An error means
// that nothing was committed, or that nobody could find out before Close.
func (e *Engine) attempts(ops []*op) error {
	wait, began := retryWait, time.Now()
	for attempt := 0; ; attempt++ {
		err := e.attempt(ops)
		var again *againError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &again):
			return err
		case attempt >= e.config.Retries || time.Since(began) > e.config.Timeout:
			return fmt.Errorf("%w: gave up after %d attempts: %w", store.ErrUnavailable, attempt+1, again.err)
		}
		e.pause(wait)
		wait = min(wait*2, maxRetry)
	}
}

// againError says that nothing was committed and the batch may be tried again.
type againError struct{ err error }

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// attempt runs one transaction over ops, or two when the first fails for its
// content.
func (e *Engine) attempt(ops []*op) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.config.Timeout)
	defer cancel()
	if err := e.settleDoubt(ctx); err != nil {
		return err
	}
	marker := store.NewCommitID()
	tx, err := e.begin(ctx)
	if err != nil {
		return e.failed(err)
	}
	committed, err := e.apply(ctx, tx, ops, marker, true)
	if open, ok := errors.AsType[openError](err); ok {
		return e.settle(open.err, marker)
	}
	if err != nil && e.classify(err) == Content {
		e.stats.bisected.Add(1)
		if len(ops) == 1 {
			e.rollback(ctx, tx)
			ops[0].receipt, ops[0].err = store.Receipt{}, unwrapContent(err)
			return nil
		}
		e.rollback(ctx, tx)
		if err := e.settleDoubt(ctx); err != nil {
			return err
		}
		if tx, err = e.begin(ctx); err != nil {
			return e.failed(err)
		}
		half := len(ops) / 2
		if err = e.bisect(ctx, tx, ops[:half], marker); err == nil {
			err = e.bisect(ctx, tx, ops[half:], marker)
		}
	}
	if err != nil {
		e.rollback(ctx, tx)
		return e.failed(err)
	}
	if committed {
		e.stats.batches.Add(1)
		return nil
	}
	return e.finish(ctx, tx, marker)
}

// bisect applies ops below a savepoint, in halves where they fail for their
// content. An error is one of the transaction.
func (e *Engine) bisect(ctx context.Context, tx Tx, ops []*op, marker string) error {
	if err := guardPanic(func() error { return tx.Savepoint(ctx) }); err != nil {
		return err
	}
	_, err := e.apply(ctx, tx, ops, marker, false)
	if err == nil {
		return nil
	}
	if e.classify(err) != Content {
		return err
	}
	if err := guardPanic(func() error { return tx.RollbackTo(ctx) }); err != nil {
		return err
	}
	if len(ops) == 1 {
		ops[0].receipt, ops[0].err = store.Receipt{}, unwrapContent(err)
		return nil
	}
	half := len(ops) / 2
	if err := e.bisect(ctx, tx, ops[:half], marker); err != nil {
		return err
	}
	return e.bisect(ctx, tx, ops[half:], marker)
}

// finish commits.
func (e *Engine) finish(ctx context.Context, tx Tx, marker string) error {
	err := guardPanic(func() error { return tx.Commit(ctx) })
	if err == nil {
		e.stats.batches.Add(1)
		return nil
	}
	if class := e.classify(err); class == Retry || class == Content {
		e.rollback(ctx, tx)
		return e.failed(err)
	}
	return e.settle(err, marker)
}

// settle finds out what became of a transaction of whose commit the backend does
// not say whether it happened. Nobody is answered before the reopened backend was
// asked.
func (e *Engine) settle(err error, marker string) error {
	e.config.Logger.Error("outcome of a commit is not known; asking the store", "err", err)
	committed, lost := e.askCommitted(marker)
	switch {
	case lost != nil:
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, lostMessage, errors.Join(err, lost))
	case committed:
		e.stats.batches.Add(1)
		return nil
	}
	return &againError{err}
}

// askCommitted reopens the backend and asks for the marker, until it gets an
// answer or the engine is closed. Meanwhile all other units are refused.
func (e *Engine) askCommitted(marker string) (committed bool, err error) {
	e.doubt = true
	defer e.lost.Store(nil)
	wait := reopenWait
	for {
		committed, err = e.askOnce(marker)
		if err == nil {
			return committed, nil
		}
		why := lostMessage
		e.lost.Store(&why)
		e.queue.refuse(fmt.Errorf("%w: %s", store.ErrUnavailable, why))
		if !e.pause(wait) {
			return false, err
		}
		wait = min(wait*2, maxReopen)
	}
}

func (e *Engine) askOnce(marker string) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.config.Timeout)
	defer cancel()
	if err := e.settleDoubt(ctx); err != nil {
		return false, err
	}
	err = guardPanic(func() error {
		committed, err = e.backend.Committed(ctx, marker)
		return err
	})
	return committed, err
}

// pause waits, and reports false at once when the engine is being closed.
func (e *Engine) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.closing:
		return false
	}
}

func (e *Engine) begin(ctx context.Context) (tx Tx, err error) {
	err = guardPanic(func() error {
		tx, err = e.backend.Begin(ctx)
		return err
	})
	if err != nil && e.classify(err) != Retry {
		e.doubt = true
	}
	return tx, err
}

func (e *Engine) rollback(ctx context.Context, tx Tx) {
	if err := guardPanic(func() error { return tx.Rollback(ctx) }); err != nil {
		e.config.Logger.Warn("roll back store transaction", "err", err)
		e.doubt = true
	}
}

// failed turns an error of a transaction that was rolled back into the batch's.
func (e *Engine) failed(err error) error {
	switch e.classify(err) {
	case Retry:
		return &againError{err}
	case Content:
		return unwrapContent(err)
	default:
		e.doubt = true
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
}

func (e *Engine) classify(err error) Class {
	if _, ok := errors.AsType[contentError](err); ok {
		return Content
	}
	return e.backend.Classify(err)
}

func unwrapContent(err error) error {
	if content, ok := errors.AsType[contentError](err); ok {
		return content.err
	}
	return fmt.Errorf("%w: the database refused it: %w", store.ErrInvalid, err)
}

// guardPanic makes a panic of f an error: the writer must not die.
func guardPanic(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the store backend: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
