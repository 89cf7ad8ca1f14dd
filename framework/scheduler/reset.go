package scheduler

import (
	"context"
	"fmt"

	"github.com/weirhq/weir/framework/store"
)

// Reset forgets the live checkpoint of a stream, so that its next run reads from
// the beginning. Events and keys stay: what was recorded is not recorded again.
// It works on a paused stream too. Errors: [ErrUnknownStream], [ErrQuarantined],
// [ErrStopped], a [*BusyError] when the stream is being read, or the store's.
func (s *Scheduler) Reset(ctx context.Context, connectionID, key string) error {
	e, err := s.reserve(connectionID, key)
	if err != nil {
		return err
	}
	defer s.unreserve(e)
	saved, ok, err := s.store.Checkpoint(ctx, connectionID, key, store.LaneLive)
	if err != nil {
		return fmt.Errorf("read checkpoint of stream %q: %w", key, err)
	}
	if !ok || saved.Cursor == nil {
		return nil
	}
	kind := e.Binding.CursorType(key)
	u := s.unit(e)
	u.Checkpoint = &store.CheckpointWrite{
		Stream: key, Lane: store.LaneLive, Previous: saved.CommitID, CursorVersion: kind.Version, CursorDigest: kind.Digest,
	}
	if _, err := s.commit(ctx, u); err != nil {
		return fmt.Errorf("reset stream %q: %w", key, err)
	}
	return nil
}
