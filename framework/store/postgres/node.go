package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// node is this process among those that share the store: a row with a heartbeat,
// on the database's clock. As long as the row is there, nobody takes its shards;
// when the heartbeat is old, another node removes the row, and all its shards are
// free.
type node struct {
	*shards
	name     string
	length   time.Duration
	now      chan struct{} // asks for a heartbeat at once
	peers    atomic.Int64  // nodes besides this one
	rejoined atomic.Int64  // how often the row was gone

	// moving keeps a heartbeat and Yield apart.
	moving sync.Mutex
	// num is that of the row, 0 for none, guarded by moving; writer that of the
	// process's row among the writers.
	num, writer int64
	// held is num for the writer, which reads it between its transactions.
	held atomic.Int64
}

func newNode(name string, length time.Duration) *node {
	return &node{shards: newShards(), name: name, length: length, now: make(chan struct{}, 1)}
}

// join enters this process among the nodes.
func (n *node) join(ctx context.Context, conn *pgx.Conn) error {
	sent := time.Now()
	err := conn.QueryRow(ctx, `INSERT INTO nodes (node, holder, writer, renewed_at, expires_at)
		VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4 * interval '1 microsecond') RETURNING num`,
		n.name, fmt.Sprintf("process %d since %s", os.Getpid(), sent.UTC().Format(time.RFC3339)), n.writer, n.length.Microseconds()).Scan(&n.num)
	if err != nil {
		return fmt.Errorf("join the nodes of the store: %w", err)
	}
	n.held.Store(n.num)
	n.renewed(sent, n.length)
	return nil
}

// beat renews the row and sees to it that this process has its share of the
// shards: it takes those that are free, and marks what it has too many of.
func (n *node) beat(ctx context.Context, conn *pgx.Conn) error {
	n.moving.Lock()
	defer n.moving.Unlock()
	sent := time.Now()
	tag, err := conn.Exec(ctx, `UPDATE nodes SET renewed_at = clock_timestamp(),
		expires_at = clock_timestamp() + $2 * interval '1 microsecond' WHERE num = $1`, n.num, n.length.Microseconds())
	switch {
	case err != nil:
		return fmt.Errorf("renew lease: %w", err)
	case tag.RowsAffected() == 1:
		n.renewed(sent, n.length)
	default:
		// The others have given this process up. What it had may be theirs now, and
		// none of it is this process's any more under the old epoch.
		n.rejoined.Add(1)
		n.adopt(store.ShardEpochs{}, 0, false)
		if err := n.join(ctx, conn); err != nil {
			return err
		}
	}
	return n.balance(ctx, conn)
}

// balance removes the nodes that have died and shares the shards out.
func (n *node) balance(ctx context.Context, conn *pgx.Conn) error {
	// A node that renews its row at this very moment keeps it: the condition is
	// looked at again when the row's lock is there.
	_, err := conn.Exec(ctx, `DELETE FROM nodes WHERE num IN (
		SELECT num FROM nodes WHERE expires_at <= clock_timestamp() AND num <> $1 FOR UPDATE SKIP LOCKED)`, n.num)
	if err != nil {
		return fmt.Errorf("remove dead nodes: %w", err)
	}
	rows, err := conn.Query(ctx, "SELECT num FROM nodes ORDER BY num")
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	rank := slices.Index(all, n.num)
	if rank < 0 {
		return errGone
	}
	n.peers.Store(int64(len(all) - 1))
	mine, err := shardRows(ctx, conn, "SELECT shard, epoch FROM shards WHERE node = $1", n.num)
	if err != nil {
		return fmt.Errorf("read shards: %w", err)
	}
	var epochs store.ShardEpochs
	for shard, epoch := range mine {
		epochs[shard] = epoch
	}
	lacks, refused, wanted := n.adopt(epochs, share(rank, len(all)), len(all) == 1)
	if len(wanted) > 0 {
		gained, err := n.take(ctx, conn, len(wanted), "AND shard = ANY ($3)", wanted)
		if err != nil {
			return err
		}
		lacks -= gained
	}
	if lacks <= 0 {
		return nil
	}
	_, err = n.take(ctx, conn, lacks, "AND shard <> ALL ($3)", append([]int{}, refused...))
	return err
}

// take takes up to limit free shards, and returns how many it took. A shard below a
// commit of its last holder is left for the next time: its row is locked until that
// commit has ended.
func (n *node) take(ctx context.Context, conn *pgx.Conn, limit int, which string, shards []int) (int, error) {
	taken, err := shardRows(ctx, conn, `UPDATE shards SET epoch = epoch + 1, node = $1, taken_at = clock_timestamp() WHERE shard IN (
			SELECT shard FROM shards s WHERE (node IS NULL OR NOT EXISTS (SELECT FROM nodes n WHERE n.num = s.node)) `+which+`
			ORDER BY shard LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING shard, epoch`, n.num, limit, shards)
	if err != nil {
		return 0, fmt.Errorf("take shards: %w", err)
	}
	n.gain(taken)
	return len(taken), nil
}

// errGone says that this node's row went while it looked. The next beat joins again.
var errGone = errors.New("the row of this node is gone")

func shardRows(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (map[int]int64, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	found := map[int]int64{}
	var shard int
	var epoch int64
	_, err = pgx.ForEachRow(rows, []any{&shard, &epoch}, func() error {
		if shard >= 0 && shard < store.ShardCount {
			found[shard] = epoch
		}
		return nil
	})
	return found, err
}

// leave removes this process's row: its shards are free at once.
func (n *node) leave(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "DELETE FROM nodes WHERE num = $1", n.num)
	return err
}

// keep beats until ctx ends, more often after a failure. It has a connection of
// its own: slow reads must not cost the leases. It returns that connection, or nil.
func (s *Store) keep(ctx context.Context, conn *pgx.Conn) *pgx.Conn {
	regular, soon := s.node.length/beats, s.node.length/(4*beats)
	timer := time.NewTimer(regular)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return conn
		case <-timer.C:
		case <-s.node.now:
		}
		var err error
		rejoined := s.node.rejoined.Load()
		if conn, err = s.beat(ctx, conn); err == nil {
			timer.Reset(regular)
			if s.node.rejoined.Load() != rejoined {
				s.options.Logger.Warn("this process was not heard of in time: other nodes have taken its work, and share it again now")
			}
			continue
		}
		if ctx.Err() == nil {
			s.options.Logger.Warn("renew leases", "err", err)
		}
		timer.Reset(soon)
	}
}

// beats is how many heartbeats there are in the length of a lease.
const beats = 5

// beat beats once, on a new connection where the last one broke.
func (s *Store) beat(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.node.length/2)
	defer cancel()
	if conn == nil || conn.IsClosed() {
		next, err := connect(ctx, s.config)
		if err != nil {
			return nil, err
		}
		conn = next
	}
	err := s.node.beat(ctx, conn)
	if err != nil && !errors.Is(err, errGone) {
		// A server that restarts may leave the connection half open.
		closeNow(conn)
		conn = nil
	}
	return conn, err
}

// Epoch is that of the lease of the connection's shard.
func (s *Store) Epoch(connectionID string) (epoch int64, ok bool) {
	return s.node.epoch(store.Shard(connectionID))
}

// Shards returns the leases under which work may begin, and a channel that is
// closed when they change.
func (s *Store) Shards() (held store.ShardEpochs, changed <-chan struct{}) { return s.node.working() }

// Peers is how many other processes share the store.
func (s *Store) Peers() int { return int(s.node.peers.Load()) }

// Prefer says which shards this process is to have and not to have. The next
// heartbeat, which comes at once if that is new, acts on it.
func (s *Store) Prefer(p store.ShardPreference) {
	if s.node.prefer(p) {
		select {
		case s.node.now <- struct{}{}:
		default:
		}
	}
}

// Yield gives shards up that this process is to give up. The node that lacks
// them takes them with its next heartbeat.
func (s *Store) Yield(ctx context.Context, shards []int) error {
	s.node.moving.Lock()
	defer s.node.moving.Unlock()
	dropped := s.node.yield(shards)
	if len(dropped) == 0 {
		return nil
	}
	num := s.node.num
	return s.change(ctx, "yield shards", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE shards SET node = NULL WHERE shard = ANY ($1) AND node = $2", dropped, num)
		return err
	})
}

// closeNow closes a connection without waiting for a server that may be gone.
func closeNow(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// A connection in doubt often cannot be closed politely; the socket is closed in any case.
	_ = conn.Close(ctx)
}
