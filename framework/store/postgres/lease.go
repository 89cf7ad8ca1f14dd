package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// lease is this process's right to write. It counts on two clocks: the
// database's decides when another process may take the store over, and our own
// monotonic one, counted from before a renewal was sent, ends our right sooner.
type lease struct {
	epoch    int64
	duration time.Duration
	// renewed is when the last renewal that succeeded was sent.
	renewed atomic.Pointer[time.Time]
	// lost is closed when another process has taken the store over.
	lost     chan struct{}
	lostOnce sync.Once
	lostErr  error
}

func newLease(duration time.Duration) *lease {
	return &lease{duration: duration, lost: make(chan struct{})}
}

// margin of the duration is left to a transaction that began in time.
const margin = 5

// fresh says whether the lease is held for some time yet.
func (l *lease) fresh() bool {
	return time.Since(*l.renewed.Load()) < l.duration-l.duration/margin
}

// lose marks the lease as lost; why says who has it.
func (l *lease) lose(why error) {
	l.lostOnce.Do(func() {
		l.lostErr = why
		close(l.lost)
	})
}

// check returns why the lease is lost, if it is.
func (l *lease) check() error {
	select {
	case <-l.lost:
		return l.lostErr
	default:
		return nil
	}
}

// take takes the lease in its own transaction, waiting for the commits of the
// last holder, and raises the epoch. It fails with [store.ErrLocked] while the
// holder's heartbeat is fresh.
func (l *lease) take(ctx context.Context, conn *pgx.Conn, node string) error {
	sent := time.Now()
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		var free bool
		var holder string
		var left float64
		err := tx.QueryRow(ctx, `SELECT expires_at <= clock_timestamp(), node || ', ' || holder,
				extract(epoch FROM greatest(expires_at, clock_timestamp()) - clock_timestamp())::float8
			FROM leases WHERE shard = 0 FOR UPDATE`).Scan(&free, &holder, &left)
		if err != nil {
			return err
		}
		if !free {
			return fmt.Errorf("%w: it is held by node %s, for %.0f s more unless it is renewed; stop that process or choose another database",
				store.ErrLocked, holder, left)
		}
		return tx.QueryRow(ctx, `UPDATE leases SET epoch = epoch + 1, node = $1, holder = $2, taken_at = clock_timestamp(),
				renewed_at = clock_timestamp(), expires_at = clock_timestamp() + $3 * interval '1 microsecond'
			WHERE shard = 0 RETURNING epoch`,
			node, fmt.Sprintf("process %d since %s", os.Getpid(), sent.UTC().Format(time.RFC3339)), l.duration.Microseconds()).Scan(&l.epoch)
	})
	if err != nil {
		return fmt.Errorf("take lease: %w", err)
	}
	l.renewed.Store(&sent)
	return nil
}

// renew prolongs the lease, also one that has expired but that nobody took. It
// fails with [store.ErrFenced] when somebody did.
func (l *lease) renew(ctx context.Context, conn *pgx.Conn) error {
	sent := time.Now()
	// No key column changes, so this waits for no commit.
	tag, err := conn.Exec(ctx, `UPDATE leases SET renewed_at = clock_timestamp(),
		expires_at = clock_timestamp() + $2 * interval '1 microsecond' WHERE shard = 0 AND epoch = $1`, l.epoch, l.duration.Microseconds())
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return l.taken(ctx, conn)
	}
	l.renewed.Store(&sent)
	return nil
}

// taken finds out who has the lease now.
func (l *lease) taken(ctx context.Context, conn *pgx.Conn) error {
	var epoch int64
	var holder string
	err := conn.QueryRow(ctx, "SELECT epoch, node || ', ' || holder FROM leases WHERE shard = 0").Scan(&epoch, &holder)
	if err != nil {
		return err
	}
	err = fmt.Errorf("%w: this process had epoch %d, now node %s has epoch %d", store.ErrFenced, l.epoch, holder, epoch)
	l.lose(err)
	return err
}

// free gives the lease back, so that the next process need not wait.
func (l *lease) free(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "UPDATE leases SET expires_at = '-infinity' WHERE shard = 0 AND epoch = $1", l.epoch)
	return err
}

// keep renews the lease three times in its duration, more often after a
// failure, until ctx ends or the lease is lost. It has a connection of its own:
// slow reads must not cost the lease. It returns that connection, or nil.
func (s *Store) keep(ctx context.Context, conn *pgx.Conn) *pgx.Conn {
	l := s.lease
	regular, soon := l.duration/3, l.duration/15
	timer := time.NewTimer(regular)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return conn
		case <-timer.C:
		}
		var err error
		if conn, err = s.beat(ctx, conn); err == nil {
			timer.Reset(regular)
			continue
		}
		if errors.Is(err, store.ErrFenced) {
			s.options.Logger.Error("the store was taken over by another process; nothing more is written", "err", err)
			return conn
		}
		if ctx.Err() == nil {
			s.options.Logger.Warn("renew lease", "err", err)
		}
		timer.Reset(soon)
	}
}

// beat renews the lease once, on a new connection where the last one broke.
func (s *Store) beat(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.lease.duration/3)
	defer cancel()
	if conn == nil || conn.IsClosed() {
		next, err := connect(ctx, s.config)
		if err != nil {
			return nil, err
		}
		conn = next
	}
	err := s.lease.renew(ctx, conn)
	if err != nil && !errors.Is(err, store.ErrFenced) {
		// A server that restarts may leave the connection half open.
		closeNow(conn)
		conn = nil
	}
	return conn, err
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
