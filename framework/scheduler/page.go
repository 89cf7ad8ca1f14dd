package scheduler

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// PageOptions ask for a page elsewhere than at the saved checkpoint.
type PageOptions struct {
	// From and To bound the records wanted, half-open.
	From, To time.Time
	// Cursor is an encoded cursor to start from.
	Cursor []byte
}

func (o PageOptions) isZero() bool { return o.From.IsZero() && o.To.IsZero() && o.Cursor == nil }

// PageResult is what one page on demand brought.
type PageResult struct {
	// Cursor is the encoded cursor where the next page starts.
	Cursor []byte
	// HasMore says that there is a next page.
	HasMore bool
	// Emitted counts the events that were recorded, Duplicates those that were
	// known.
	Emitted, Duplicates int
}

// Page reads and commits one page on demand. Without options it starts at the
// saved checkpoint and commits events and checkpoint as a run of one page does,
// with a run row. With any option it commits events only: the checkpoint and the
// stream's status stay. A page that fails records nothing; its error is
// returned, and still holds what the handler put into it.
//
// It works on a paused stream too. Errors: [ErrUnknownStream], [ErrQuarantined],
// [ErrCrashing], [ErrStopped], a [*BusyError] when the stream is being read, or what the page or
// its commit failed with.
func (s *Scheduler) Page(ctx context.Context, connectionID, key string, o PageOptions) (PageResult, error) {
	e, err := s.reserve(connectionID, key)
	if err != nil {
		return PageResult{}, err
	}
	defer s.unreserve(e)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	unhook := context.AfterFunc(e.conn.ctx, func() { cancel(ErrStopped) })
	defer unhook()
	result, err := s.single(ctx, e, o)
	if err != nil {
		return PageResult{}, fmt.Errorf("read page of stream %q: %w", key, err)
	}
	return result, nil
}

// reserve keeps runs away from a stream until unreserve.
func (s *Scheduler) reserve(connectionID, key string) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(connectionID, key)
	if err != nil {
		return nil, err
	}
	if err := s.available(e); err != nil {
		return nil, err
	}
	e.paging = true
	s.active.Add(1)
	e.conn.active.Add(1)
	return e, nil
}

func (s *Scheduler) unreserve(e *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.paging = false
	e.conn.active.Done()
	s.active.Done()
	if e.deferred {
		e.deferred = false
		if e.place == placeParked {
			s.enqueue(e)
			s.dispatch()
		}
	}
}

func (s *Scheduler) single(ctx context.Context, e *stream, o PageOptions) (PageResult, error) {
	r := s.newRun(e, store.NewID("run_", s.clock.wall()))
	in := framework.PageCall{Cursor: o.Cursor, From: o.From, To: o.To}
	if o.isZero() {
		if err := s.load(ctx, e, r); err != nil {
			return PageResult{}, err
		}
		in = framework.PageCall{Cursor: r.checkpoint.Cursor, From: r.checkpoint.From, To: r.checkpoint.To}
	}
	started := s.clock.wall()
	result, emissions, err := s.call(ctx, e, in)
	if err != nil {
		return PageResult{}, err
	}
	if result.HasMore && in.Cursor != nil && bytes.Equal(result.Cursor, in.Cursor) {
		// Whoever asks for page after page would never come to an end.
		return PageResult{}, stands(1)
	}
	u := s.unit(e)
	u.Emissions, u.ObservedAt = emissions, started
	if o.isZero() {
		moved := r.moved(result)
		r.State, r.FinishedAt = store.RunSucceeded, u.At
		u.Checkpoint, u.Run = &moved, &store.RunWrite{Run: r.Run, Pages: 1}
		if !result.HasMore {
			u.Streams = []store.StreamWrite{{Stream: e.Key, Succeeded: true}}
		}
	}
	receipt, err := s.commit(ctx, u)
	if err != nil {
		return PageResult{}, fmt.Errorf("commit page: %w", err)
	}
	if len(u.Streams) > 0 {
		s.mu.Lock()
		e.failures = 0
		s.mu.Unlock()
	}
	s.tellPage(e, r, u, receipt)
	return PageResult{Cursor: result.Cursor, HasMore: result.HasMore, Emitted: receipt.Appended, Duplicates: receipt.Duplicates}, nil
}
