package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// Command is what an operator asked of a connection at another node.
type Command = store.Command

// commandPoll is how often an answer is looked for.
const commandPoll = 100 * time.Millisecond

// commandAge is how long a request is kept whose asker has ended without taking
// it back: much longer than anybody waits for an answer.
const commandAge = time.Hour

// Ask hands a request about a connection to the node that has its lease, and
// waits for the answer. A request that nobody has taken when ctx ends is taken back.
func (s *Store) Ask(ctx context.Context, connectionID string, request []byte) (answer []byte, err error) {
	id, what := store.NewID("cmd_", time.Now()), "ask the node of a connection"
	err = s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO commands (id, shard, request) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", id, store.Shard(connectionID), request)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
		defer cancel()
		err = errors.Join(err, s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM commands WHERE id = $1", id)
			return err
		}))
	}()
	ticker := time.NewTicker(commandPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w: it has not answered in time: %w", what, store.ErrUnavailable, context.Cause(ctx))
		case <-ticker.C:
		}
		found, err := list(ctx, s, what, "SELECT answer FROM commands WHERE id = $1 AND answer IS NOT NULL", pgx.RowTo[[]byte], id)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
}

// Commands takes the requests about connections whose work this process does.
func (s *Store) Commands(ctx context.Context) (taken []Command, err error) {
	held, _ := s.Shards()
	var shards []int
	for shard, epoch := range held {
		if epoch != 0 {
			shards = append(shards, shard)
		}
	}
	// Most of the time there is nothing, and nothing is to be locked for that.
	open, err := list(ctx, s, "look for commands", "SELECT 1 FROM commands WHERE taken_at IS NULL AND shard = ANY ($1) LIMIT 1", pgx.RowTo[int], shards)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	err = s.change(ctx, "take commands", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `UPDATE commands SET taken_at = clock_timestamp() WHERE id IN (
			SELECT id FROM commands WHERE taken_at IS NULL AND shard = ANY ($1) ORDER BY id LIMIT 16 FOR UPDATE SKIP LOCKED)
			RETURNING id, request`, shards)
		if err != nil {
			return err
		}
		taken, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (c Command, err error) { return c, r.Scan(&c.ID, &c.Request) })
		return err
	})
	return taken, err
}

// Answer answers a command that was taken.
func (s *Store) Answer(ctx context.Context, id string, answer []byte) error {
	return s.change(ctx, "answer command", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE commands SET answer = $2 WHERE id = $1", id, answer)
		return err
	})
}

var _ store.Shared = (*Store)(nil)
