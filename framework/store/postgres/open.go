package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// Store is a store in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	options Options
	config  *pgx.ConnConfig
	// log is the epoch of the log.
	log int64
	// secret is that of the keyed hashes.
	secret []byte
	node   *node
	engine *groupcommit.Engine
	// backend belongs to the goroutine of engine.
	backend *backend
	// pool holds the connections that read and that change what is no unit.
	pool *pgxpool.Pool

	// background ends the goroutines of this package.
	background context.Context //nolint:containedctx // it is the life of the store, not of a call
	stop       context.CancelFunc
	running    sync.WaitGroup
	// upkeepNow wakes the goroutine that removes rows.
	upkeepNow chan struct{}
	hints     *hints
	// retention is what SetRetention was given last.
	retention atomic.Pointer[store.RetentionPolicy]
	// beats is the connection that keep uses, when keep has ended.
	beats  *pgx.Conn
	closed atomic.Bool
	once   sync.Once
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the database of options.URL, brings its schema up to
// date and joins the nodes that share it. It fails with [store.ErrLocked] while a
// process of a version that shares nothing has the store, with [store.ErrNewerSchema] when a newer version wrote
// the schema and with [store.ErrUnavailable] while the server is away.
func Open(ctx context.Context, options Options) (_ *Store, err error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("configure PostgreSQL store: %w", err)
	}
	config, err := parse(options.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{options: options, config: config, node: newNode(options.Node, options.lease), upkeepNow: make(chan struct{}, 1), hints: newHints()}
	direct, err := s.direct()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open PostgreSQL store %s on %s: %w", config.Database, config.Host, err)
			s.release()
		}
	}()
	if s.beats, err = connect(ctx, config); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.beats); err != nil {
		return nil, failureOfOpen(err)
	}
	secret, err := s.begin(ctx)
	if err != nil {
		return nil, failureOfOpen(err)
	}
	s.secret = secret
	if s.log, err = readLogEpoch(ctx, s.beats); err != nil {
		return nil, failureOfOpen(err)
	}
	if s.backend.conn, err = openSession(ctx, config, &s.backend.lent); err != nil {
		return nil, err
	}
	if direct == nil && !s.backend.pooled() {
		direct = config
	}
	if err := s.openPool(ctx); err != nil {
		return nil, err
	}
	if s.engine, err = groupcommit.New(s.backend, options.engine(secret)); err != nil {
		return nil, err
	}
	s.background, s.stop = context.WithCancel(context.Background())
	if options.Observe {
		return s, nil
	}
	if err := s.node.beat(ctx, s.beats); err != nil {
		s.stop()
		s.engine.Close()
		return nil, failureOfOpen(err)
	}
	s.running.Go(func() { s.beats = s.keep(s.background, s.beats) })
	s.running.Go(s.upkeep)
	s.running.Go(func() { s.tell(s.background) })
	if direct != nil {
		s.running.Go(func() { s.listen(s.background, direct) })
	}
	return s, nil
}

// failureOfOpen is failure for errors that have more names at opening.
func failureOfOpen(err error) error {
	if errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrNewerSchema) {
		return err
	}
	return failure(err)
}

// begin enters this process among the writers and the nodes and returns the
// secret, making it the first time.
func (s *Store) begin(ctx context.Context) (secret []byte, err error) {
	conn := s.beats
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	if _, err := conn.Exec(ctx, "INSERT INTO meta (name, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING", fresh); err != nil {
		return nil, fmt.Errorf("keep secret: %w", err)
	}
	var fsync string
	err = conn.QueryRow(ctx, "SELECT value, current_setting('fsync') FROM meta WHERE name = 'secret'").Scan(&secret, &fsync)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if len(secret) < 16 {
		return nil, errors.New("the store has no secret; it is damaged, restore a backup")
	}
	if fsync != "on" {
		s.options.Logger.Warn("the server runs with fsync off: a crash of its machine loses what was acknowledged; set fsync = on")
	}
	// Rows of writers that ended long ago have nobody left to ask for them.
	if _, err := conn.Exec(ctx, "DELETE FROM writers WHERE started_at < now() - interval '90 days' AND num NOT IN (SELECT writer FROM nodes)"); err != nil {
		return nil, fmt.Errorf("remove old writers: %w", err)
	}
	s.backend = &backend{config: s.config, node: &s.node.held, failpoint: s.options.failpoint}
	if s.backend.writer, err = enter(ctx, conn, s.options.Node); err != nil {
		return nil, fmt.Errorf("enter writer: %w", err)
	}
	s.node.writer = s.backend.writer
	if s.options.Observe {
		return secret, nil
	}
	return secret, s.node.join(ctx, conn)
}

// enter makes a row among the writers. Epochs are those of shards.
func enter(ctx context.Context, conn *pgx.Conn, node string) (num int64, err error) {
	err = conn.QueryRow(ctx, "INSERT INTO writers (node, epoch) VALUES ($1, 0) RETURNING num", node).Scan(&num)
	return num, err
}

// direct is where to listen without a pooler in between; nil when nothing is said.
func (s *Store) direct() (*pgx.ConnConfig, error) {
	if s.options.Direct == "" {
		return nil, nil
	}
	config, err := parse(s.options.Direct)
	if err != nil {
		return nil, fmt.Errorf("direct address: %w", err)
	}
	return config, nil
}

func (s *Store) openPool(ctx context.Context) error {
	config, err := pgxpool.ParseConfig(s.options.URL)
	if err != nil {
		return ErrURL
	}
	config.ConnConfig = s.config.Copy()
	// One more than the readers for changes: a burst of reads must not hold up a
	// deletion or the upkeep for long.
	config.MaxConns = int32(s.options.Readers) + 1
	config.MinConns, config.MinIdleConns = 0, 0
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("open readers: %w", err)
	}
	return nil
}

// Stats returns what the writer has done since Open.
func (s *Store) Stats() groupcommit.Stats { return s.engine.Stats() }

// Commit records u durably.
func (s *Store) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	receipt, err := s.engine.Commit(ctx, u)
	s.recorded(&u, &receipt)
	return receipt, s.seen(err)
}

// Offer is Commit that fails with [store.ErrBusy] when too many units wait.
func (s *Store) Offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	receipt, err := s.engine.Offer(ctx, u)
	s.recorded(&u, &receipt)
	return receipt, s.seen(err)
}

// seen asks for a heartbeat when the database knows better than this process
// which shards it has.
func (s *Store) seen(err error) error {
	if errors.Is(err, store.ErrFenced) {
		wake(s.node.now)
	}
	return err
}

// Ping writes to the store, to say whether it can be written.
func (s *Store) Ping(ctx context.Context) error {
	err := s.engine.Do(ctx, func(ctx context.Context) error {
		if err := s.backend.ping(ctx); err != nil {
			return fmt.Errorf("%w: %w: %w", store.ErrUnavailable, groupcommit.ErrDoubt, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ping store: %w", err)
	}
	return nil
}

// Close commits what waits, gives the lease back and closes the connections.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.closed.Store(true)
		s.engine.Close()
		s.stop()
		s.running.Wait()
		s.release()
	})
	return nil
}

// leaveTimeout bounds how long leaving the nodes holds up closing.
const leaveTimeout = 3 * time.Second

// leave leaves the nodes.
func (s *Store) leave() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if s.beats != nil && s.node.leave(ctx, s.beats) == nil {
		return nil
	}
	// The connection may be one to a server that was restarted.
	closeNow(s.beats)
	if s.beats, err = connect(ctx, s.config); err != nil {
		return err
	}
	return s.node.leave(ctx, s.beats)
}

// release leaves the nodes, if this process is one, and closes whatever is open.
func (s *Store) release() {
	s.node.end()
	if s.pool != nil {
		s.pool.Close()
	}
	if s.backend != nil {
		s.backend.close()
	}
	if s.node.num != 0 {
		if err := s.leave(); err != nil {
			s.options.Logger.Warn("the leases on the store could not be given back; they run out by themselves", "err", err)
		}
	}
	closeNow(s.beats)
}
