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

// toNode is the shard of a request to one process.
const toNode = -1

// Ask hands a request about a connection to the node that has its lease, and
// waits for the answer. A request that nobody has taken when ctx ends is taken back.
func (s *Store) Ask(ctx context.Context, connectionID string, request []byte) ([]byte, error) {
	what := "ask the node of a connection"
	answers, _, err := s.ask(ctx, what, "INSERT INTO commands (id, shard, request) VALUES ($1, $2, $3) RETURNING id",
		store.NewID("cmd_", time.Now()), store.Shard(connectionID), request)
	if err == nil && len(answers) == 0 {
		err = fmt.Errorf("%s: %w: it has not answered in time: %w", what, store.ErrUnavailable, context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// AskPeers hands a request to every other process, and returns the answers that
// came until ctx ended.
func (s *Store) AskPeers(ctx context.Context, request []byte) (answers [][]byte, asked int, err error) {
	return s.ask(ctx, "ask the other nodes", `INSERT INTO commands (id, shard, node, request)
		SELECT $1::text || '_' || num, $2, num, $3 FROM nodes WHERE num <> $4 AND expires_at > clock_timestamp() RETURNING id`,
		store.NewID("cmd_", time.Now()), toNode, request, s.node.held.Load())
}

// ask inserts requests, and waits until each has an answer or ctx ends.
func (s *Store) ask(ctx context.Context, what, insert string, args ...any) (answers [][]byte, asked int, err error) {
	var ids []string
	err = s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, insert, args...)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil || len(ids) == 0 {
		return nil, 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
		defer cancel()
		err = errors.Join(err, s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM commands WHERE id = ANY ($1)", ids)
			return err
		}))
	}()
	ticker := time.NewTicker(commandPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return answers, len(ids), nil
		case <-ticker.C:
		}
		found, err := list(ctx, s, what, "SELECT answer FROM commands WHERE id = ANY ($1) AND answer IS NOT NULL", pgx.RowTo[[]byte], ids)
		switch {
		case err == nil:
			answers = found
		case ctx.Err() == nil:
			return nil, len(ids), err
		}
		if len(answers) == len(ids) {
			return answers, len(ids), nil
		}
	}
}

// Commands takes the requests to this process, and those about connections whose
// work it does.
func (s *Store) Commands(ctx context.Context) (taken []Command, err error) {
	held, _ := s.Shards()
	shards := []int{toNode}
	for shard, epoch := range held {
		if epoch != 0 {
			shards = append(shards, shard)
		}
	}
	const open = "taken_at IS NULL AND shard = ANY ($1) AND (node IS NULL OR node = $2)"
	self := s.node.held.Load()
	// Most of the time there is nothing, and nothing is to be locked for that.
	found, err := list(ctx, s, "look for commands", "SELECT 1 FROM commands WHERE "+open+" LIMIT 1", pgx.RowTo[int], shards, self)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	err = s.change(ctx, "take commands", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `UPDATE commands SET taken_at = clock_timestamp() WHERE id IN (
			SELECT id FROM commands WHERE `+open+` ORDER BY id LIMIT 16 FOR UPDATE SKIP LOCKED)
			RETURNING id, request`, shards, self)
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
