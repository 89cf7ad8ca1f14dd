package main

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
)

// teller is the floor of crowd: it writes what all runs report into one table, in
// one transaction of what waits, and hands it out when that is durable.
type teller struct {
	floor *sqliteFloor
	queue chan *reported
	runs  int64
	mu    sync.Mutex
}

// reported is a report of a run.
type reported struct {
	run, sequence, at int64
	percent           int
	message           string
	kept              chan *reported
}

// crowdFloor serves until ctx ends.
func crowdFloor(ctx context.Context, o childOptions, ready func(addr string)) (commits int64, err error) {
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + filepath.Join(o.Dir, "weir.db") + "?mode=rwc&_busy_timeout=5000&_sync=FULL&_journal_mode=WAL")
	if err != nil {
		return 0, err
	}
	t := &teller{floor: &sqliteFloor{conn: conn, statements: map[string]driver.Stmt{}}, queue: make(chan *reported, 4096)}
	defer func() { err = errors.Join(err, t.floor.close()) }()
	if _, err := t.floor.query("CREATE TABLE reports (run INTEGER, sequence INTEGER, at INTEGER, percent INTEGER, message TEXT, PRIMARY KEY (run, sequence)) WITHOUT ROWID"); err != nil {
		return 0, err
	}
	stop, err := aside(ctx, o.Aside)
	if err != nil {
		return 0, err
	}
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(l) }()
	ready(l.Addr().String())
	for {
		select {
		case <-ctx.Done():
			return commits, nil
		case first := <-t.queue:
			commits++
			if err := t.keep(first); err != nil {
				return commits, err
			}
		}
	}
}

// keep writes what waits.
func (t *teller) keep(first *reported) error {
	batch := []*reported{first}
	for len(t.queue) > 0 {
		batch = append(batch, <-t.queue)
	}
	w := &transaction{floor: t.floor}
	w.exec("BEGIN IMMEDIATE")
	for _, r := range batch {
		w.exec("INSERT INTO reports (run, sequence, at, percent, message) VALUES (?, ?, ?, ?, ?)", r.run, r.sequence, r.at, int64(r.percent), r.message)
	}
	w.exec("COMMIT")
	for _, r := range batch {
		r.kept <- r
	}
	return errors.Join(w.errs...)
}

// ServeHTTP carries a run out and tells its caller.
func (t *teller) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var in telling
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	t.runs++
	run := t.runs
	t.mu.Unlock()
	kept := make(chan *reported, in.Rounds+2)
	t.queue <- &reported{run, 1, time.Now().UnixMicro(), 0, "", kept}
	ctx := q.Context()
	go func() {
		err := in.rounds(ctx, func(round int, now int64) {
			t.queue <- &reported{run, int64(round + 2), time.Now().UnixMicro(), 100 * round / in.Rounds, fmt.Sprint(now), kept}
		})
		if err == nil {
			t.queue <- &reported{run, int64(in.Rounds + 2), time.Now().UnixMicro(), 100, "end", kept}
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-kept:
			m := map[string]any{"type": "progress", "run_id": r.run, "progress": r.percent}
			switch {
			case r.message == "end":
				m = map[string]any{"type": "complete", "run_id": r.run}
			case r.message != "":
				m["message"] = r.message
			}
			text, err := json.Marshal(m)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "id: %d/%d\ndata: %s\n\n", r.run, r.sequence, text); err != nil || http.NewResponseController(w).Flush() != nil || r.message == "end" {
				return
			}
		}
	}
}
