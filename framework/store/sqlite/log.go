package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// logReaders are the connections that read events. They speak to the driver
// directly, with prepared statements: sinks read every event of the log, and
// database/sql costs as much a row as SQLite does.
type logReaders struct {
	open func() (*conn, error)
	// free has a place for each connection; nil is one that is to be opened.
	free chan *conn

	mu     sync.Mutex
	closed bool
}

func newLogReaders(n int, open func() (*conn, error)) *logReaders {
	r := &logReaders{open: open, free: make(chan *conn, n)}
	for range n {
		r.free <- nil
	}
	return r
}

// with calls f with a connection that nobody else has.
func (r *logReaders) with(ctx context.Context, f func(*conn) error) (err error) {
	var c *conn
	select {
	case c = <-r.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { err = errors.Join(err, r.put(c)) }()
	if c == nil {
		if c, err = r.open(); err != nil {
			return err
		}
	}
	return f(c)
}

// put gives a connection back.
func (r *logReaders) put(c *conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed && c != nil {
		r.free <- nil
		return c.close()
	}
	r.free <- c
	return nil
}

// close closes the connections that nobody has; the others are closed when they
// are given back.
func (r *logReaders) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for range len(r.free) {
		if c := <-r.free; c != nil {
			errs = append(errs, c.close())
		}
		r.free <- nil
	}
	return errors.Join(errs...)
}

// place is where the events of a stream stand.
type place struct {
	project, connection, origin string
	// stream is the number of the stream, 0 while it has no events.
	stream, head int64
}

const (
	findStream = `SELECT c.project, c.name, s.num, coalesce(nullif(s.origin, ''), ?1), s.head FROM connections c
		LEFT JOIN streams s ON s.connection = c.num AND s.stream = ?1
		WHERE c.id = ?2 AND c.deleted_at IS NULL`
	readStream = `SELECT id, type, subject, deletion, key, time, recorded_at, late, payload FROM events
		WHERE id > ? AND id <= ? ORDER BY id LIMIT ?`
)

// Events reads a stream. It fails with [store.ErrNotFound] for an unknown
// connection and with [ingest.TrimmedError] where retention has removed what
// comes next.
func (s *Store) Events(ctx context.Context, connectionID, stream string, after int64, limit int) (events []ingest.Event, err error) {
	ctx, cancel := s.deadline(ctx)
	defer cancel()
	var p place
	err = s.logs.with(ctx, func(c *conn) error {
		if s.closed.Load() {
			return store.ErrClosed
		}
		// The head is read before the events: those up to it are there, or were removed.
		if p, err = c.place(connectionID, stream); err != nil || p.stream == 0 || limit <= 0 {
			return err
		}
		events, err = c.events(ctx, p, max(after, 0), min(limit, maxRows))
		return err
	})
	if err != nil {
		return nil, s.readErr(fmt.Sprintf("read events of stream %q", stream), err)
	}
	if p.stream == 0 || limit <= 0 {
		return nil, nil
	}
	for i := range events {
		e := &events[i]
		e.Project, e.Connection, e.ConnectionID, e.Stream = p.project, p.connection, connectionID, stream
		e.ID = ingest.EventID(connectionID, p.origin, e.Key)
	}
	if err := ingest.CheckTrimmed(events, stream, after, p.head); err != nil {
		return nil, err
	}
	return events, nil
}

// place finds a stream.
func (c *conn) place(connectionID, stream string) (p place, err error) {
	found := false
	err = c.query(func(v []driver.Value) {
		found = true
		p.project, _ = v[0].(string)
		p.connection, _ = v[1].(string)
		p.stream, _ = v[2].(int64)
		p.origin, _ = v[3].(string)
		p.head, _ = v[4].(int64)
	}, findStream, stream, connectionID)
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return p, err
}

// events reads events of a stream, of which the payloads together have at most
// [ingest.MaxReadBytes] unless the first alone has more.
func (c *conn) events(ctx context.Context, p place, after int64, limit int) ([]ingest.Event, error) {
	const last = 1<<sequenceBits - 1
	events := make([]ingest.Event, 0, min(int64(limit), max(p.head-after, 0)))
	size := 0
	err := c.queryWhile(ctx, func(v []driver.Value) bool {
		payload, _ := v[8].([]byte)
		if size += len(payload); len(events) > 0 && size > ingest.MaxReadBytes {
			return false
		}
		events = append(events, ingest.Event{Operation: ingest.Upsert, Payload: payload})
		e := &events[len(events)-1]
		e.Sequence, _ = v[0].(int64)
		e.Sequence &= last
		e.Type, _ = v[1].(string)
		e.Subject, _ = v[2].(string)
		if v[3] == int64(1) {
			e.Operation = ingest.Deletion
		}
		e.Key, _ = v[4].(string)
		e.Time, e.RecordedAt = fromMicros(v[5]), fromMicros(v[6])
		e.Late = v[7] == int64(1)
		return true
	}, readStream, rowid(p.stream, min(after, last)), rowid(p.stream, last), int64(limit))
	return events, err
}

// fromMicros is a time in microseconds; NULL is the zero time.
func fromMicros(v driver.Value) time.Time {
	if at, ok := v.(int64); ok {
		return time.UnixMicro(at).UTC()
	}
	return time.Time{}
}
