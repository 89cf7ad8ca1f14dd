package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// Store is a store in a SQLite file. It is safe for concurrent use.
type Store struct {
	options Options
	path    string
	lock    *os.File
	epoch   int64
	log     int64
	secret  []byte
	engine  *groupcommit.Engine
	room    *room
	// writer belongs to the goroutine of engine.
	writer *writer
	// reads are the reading connections, logs those that read events.
	reads *sql.DB
	logs  *logReaders

	// background ends the goroutines of this package.
	background context.Context //nolint:containedctx // it is the life of the store, not of a call
	stop       context.CancelFunc
	running    sync.WaitGroup
	// written wakes the goroutine that copies the log back.
	written chan struct{}
	// pages counts what was written since then; it is the writer's.
	pages int
	// trimNow wakes the goroutine that removes rows.
	trimNow chan struct{}
	// retention is what SetRetention was given last.
	retention atomic.Pointer[store.RetentionPolicy]
	closed    atomic.Bool
	once      sync.Once
	// closeErr is what closing said.
	closeErr error
}

var _ store.Store = (*Store)(nil)

// Open opens the store in options.Dir, making it if there is none, brings its
// schema up to date and raises its epoch. It fails with [store.ErrLocked] while
// another process has it open and with [store.ErrNewerSchema] when a newer
// version wrote it.
func Open(ctx context.Context, options Options) (_ *Store, err error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("configure SQLite store: %w", err)
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	s := &Store{
		options: options, path: filepath.Join(dir, FileName),
		written: make(chan struct{}, 1), trimNow: make(chan struct{}, 1),
	}
	if s.lock, err = lockFolder(dir, options.Clock()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open SQLite store in %s: %w", dir, errors.Join(err, s.release()))
		}
	}()
	if err := s.create(); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.path); err != nil {
		return nil, err
	}
	s.writer = &writer{path: s.path, options: options, nums: map[string]int64{}, wrote: s.wrote}
	if err := s.writer.open(); err != nil {
		return nil, err
	}
	secret, err := s.takeLease()
	if err != nil {
		return nil, err
	}
	s.secret = secret
	s.writer.conn.failpoint = options.failpoint
	if err := s.openReads(); err != nil {
		return nil, err
	}
	if s.engine, err = groupcommit.New(s.writer, options.engine(secret)); err != nil {
		return nil, err
	}
	s.room = newRoom(dir, options)
	s.background, s.stop = context.WithCancel(context.Background())
	if !options.manual {
		s.running.Go(s.copyBack)
		s.running.Go(s.trimLoop)
	}
	return s, nil
}

// create makes the file with the settings that only an empty file takes.
func (s *Store) create() (err error) {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	c, err := connect(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.script("PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL")
}

// takeLease raises the epoch and returns the secret, making it the first time.
func (s *Store) takeLease() (secret []byte, err error) {
	c := s.writer.conn
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	if err := c.script("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("take lease: %w", err), c.script("ROLLBACK"))
		}
	}()
	if _, err := c.exec("INSERT INTO meta (name, value) VALUES ('secret', ?) ON CONFLICT DO NOTHING", fresh); err != nil {
		return nil, err
	}
	if _, err := c.exec("UPDATE writer SET epoch = epoch + 1 WHERE id = 1"); err != nil {
		return nil, err
	}
	var kept []byte
	read := func(v []driver.Value) {
		s.epoch, _ = v[0].(int64)
		secret, _ = v[1].([]byte)
		kept, _ = v[2].([]byte)
	}
	if err := c.query(read, `SELECT epoch, (SELECT value FROM meta WHERE name = 'secret'), (SELECT value FROM meta WHERE name = ?)
		FROM writer WHERE id = 1`, store.LogEpochName); err != nil {
		return nil, err
	}
	if s.log, err = store.ReadLogEpoch(kept); err != nil {
		return nil, err
	}
	if len(secret) < 16 || s.epoch < 1 {
		return nil, errors.New("the store has no secret or no epoch; it is damaged, restore a backup")
	}
	return secret, c.script("COMMIT")
}

func (s *Store) openReads() error {
	reading := access{readOnly: true, queryOnly: true, busy: s.options.QueryTimeout, cacheKiB: 8 << 10}
	db, err := sql.Open(driverName, reading.dsn(s.path))
	if err != nil {
		return fmt.Errorf("open readers: %w", err)
	}
	db.SetMaxOpenConns(s.options.Readers)
	db.SetMaxIdleConns(s.options.Readers)
	s.reads = db
	reading.cacheKiB = 1 << 10 // events are read once: pages stay in the processor's cache
	s.logs = newLogReaders(s.options.Readers, func() (*conn, error) { return connectWith(s.path, reading) })
	return nil
}

// Epoch returns the epoch that this process took at Open, for all connections.
func (s *Store) Epoch(string) (epoch int64, ok bool) { return s.epoch, true }

// Shards returns all shards: this process has the store to itself.
func (s *Store) Shards() (held store.ShardEpochs, changed <-chan struct{}) {
	for i := range held {
		held[i] = s.epoch
	}
	return held, nil
}

// Yield does nothing: there is nobody to yield to.
func (s *Store) Yield(context.Context, []int) error { return nil }

// LogEpoch returns the epoch of the log.
func (s *Store) LogEpoch() int64 { return s.log }

// Stats returns what the writer has done since Open.
func (s *Store) Stats() groupcommit.Stats { return s.engine.Stats() }

// Commit records u durably.
func (s *Store) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	if err := s.room.admit(&u); err != nil {
		return store.Receipt{}, err
	}
	return s.engine.Commit(ctx, u)
}

// Offer is Commit that fails with [store.ErrBusy] when too many units wait.
func (s *Store) Offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	if err := s.room.admit(&u); err != nil {
		return store.Receipt{}, err
	}
	return s.engine.Offer(ctx, u)
}

// Ping writes to the store, to say whether it can be written. It fails with
// [store.ErrDiskLow] while the store takes nothing more.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.room.err(); err != nil {
		return fmt.Errorf("ping store: %w", err)
	}
	return s.change(ctx, "ping store", func(c *conn) error {
		_, err := c.exec("UPDATE writer SET marker = ? WHERE id = 1", store.NewCommitID())
		return err
	})
}

// Close commits what waits, closes the store and frees its lock.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.closed.Store(true)
		s.engine.Close()
		s.stop()
		s.running.Wait()
		s.closeErr = s.release()
	})
	return s.closeErr
}

// release closes whatever is open.
func (s *Store) release() error {
	var errs []error
	if s.reads != nil {
		errs = append(errs, s.reads.Close(), s.logs.close())
	}
	if s.writer != nil && s.writer.conn != nil {
		errs = append(errs, s.writer.conn.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
