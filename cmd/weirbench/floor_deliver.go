package main

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/weirhq/weir/ingest"
)

// stored is an event as the floor sends it.
type stored struct {
	id   string
	body []byte
}

// deliverFloor reads the events of the store in order and sends them over some
// connections. It writes how far it is every 100 ms, durably, as a sink does.
func deliverFloor(ctx context.Context, o childOptions, ready func(addr string)) (int64, error) {
	f, err := openSQLiteAgain(o.Dir, Orders.Key())
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.close() }()
	id, err := f.query("SELECT id FROM connections WHERE num = (SELECT connection FROM streams WHERE stream = '" + Orders.Key() + "')")
	if err != nil {
		return 0, err
	}
	connection, _ := id[0].(string)
	ready("-")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan []stored, 2*o.InFlight)
	done := make(chan int64, 2*o.InFlight)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.InFlight, MaxConnsPerHost: o.InFlight}}
	var work sync.WaitGroup
	errs := make(chan error, o.InFlight+2)
	work.Go(func() {
		defer close(batches)
		if err := f.read(ctx, connection, o.Batch, batches); err != nil {
			errs <- err
		}
	})
	var senders sync.WaitGroup
	for range o.InFlight {
		senders.Go(func() {
			for batch := range batches {
				if err := post(ctx, client, o.API, batch); err != nil {
					errs <- err
					return
				}
				done <- int64(len(batch))
			}
		})
	}
	work.Go(func() {
		senders.Wait()
		close(done)
	})
	commits, err := keepOffset(o.Dir, done)
	work.Wait()
	close(errs)
	if err := errors.Join(err, <-errs); err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	<-ctx.Done()
	return commits, nil
}

// read hands over batches of events in their order.
func (f *sqliteFloor) read(ctx context.Context, connection string, size int, batches chan<- []stored) error {
	const page = 500
	s, err := f.statement(fmt.Sprintf("SELECT id, key, payload FROM events WHERE id > ? AND id < ? ORDER BY id LIMIT %d", page))
	if err != nil {
		return err
	}
	values := make([]driver.Value, 3)
	var batch []stored
	// The first event is not one of those that are counted.
	for after, last := f.stream<<40|1, (f.stream+1)<<40; ; {
		rows, err := s.Query([]driver.Value{after, last}) //nolint:staticcheck // the variant with a context starts a goroutine for every call
		if err != nil {
			return err
		}
		n := 0
		for ; ; n++ {
			if err := rows.Next(values); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			after, _ = values[0].(int64)
			key, _ := values[1].(string)
			payload, _ := values[2].([]byte)
			batch = append(batch, stored{ingest.EventID(connection, Orders.Key(), key), bytes.Clone(payload)})
			if len(batch) < size {
				continue
			}
			select {
			case batches <- batch:
				batch = nil
			case <-ctx.Done():
				return errors.Join(ctx.Err(), rows.Close())
			}
		}
		if err := rows.Close(); err != nil {
			return err
		}
		if n < page {
			break
		}
	}
	if len(batch) > 0 {
		batches <- batch
	}
	return nil
}

// post sends one batch.
func post(ctx context.Context, client *http.Client, to string, batch []stored) error {
	body := batch[0].body
	if len(batch) > 1 {
		var b bytes.Buffer
		for i, one := range batch {
			b.WriteByte("[,"[min(i, 1)])
			b.Write(one.body)
		}
		b.WriteByte(']')
		body = b.Bytes()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", batch[0].id)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err = errors.Join(err, response.Body.Close()); err == nil && response.StatusCode > 299 {
		err = errors.New(response.Status)
	}
	return err
}

// keepOffset writes what was sent, every 100 ms, until there is no more.
func keepOffset(dir string, done <-chan int64) (commits int64, err error) {
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + dir + "/weir.db?_busy_timeout=5000&_sync=FULL&_journal_mode=WAL")
	if err != nil {
		return 0, err
	}
	f := &sqliteFloor{conn: conn, statements: map[string]driver.Stmt{}}
	defer func() { err = errors.Join(err, f.close()) }()
	// As many bytes as a row of offsets has; one that Weir does not look for.
	if _, err := f.query("CREATE TABLE IF NOT EXISTS floor_offset (at INTEGER PRIMARY KEY, next INTEGER, delivered INTEGER)"); err != nil {
		return 0, err
	}
	var sent int64
	save := func() error {
		commits++
		t := &transaction{floor: f}
		t.exec("INSERT OR REPLACE INTO floor_offset (at, next, delivered) VALUES (1, ?, ?)", sent+1, sent)
		return errors.Join(t.errs...)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case n, more := <-done:
			if !more {
				return commits, save()
			}
			sent += n
		case <-ticker.C:
			if err := save(); err != nil {
				return commits, err
			}
		}
	}
}
