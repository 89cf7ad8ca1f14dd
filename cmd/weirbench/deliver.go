package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// way is one way of delivering that is measured, by Weir and by the floor.
type way struct {
	name string
	// order is the sink's; the floor has as many connections as requests may be
	// in flight.
	order    string
	inFlight int
	batch    int
}

// ways are the rows of the table of deliveries.
var ways = []way{
	{"single", "unordered", 64, 1},
	{"batches", "unordered", 8, 100},
	{"ordered", "ordered", 1, 1},
}

// settings are those of the sink.
func (w way) settings(endpoint string) map[string]any {
	s := map[string]any{
		"endpoint": endpoint, "format": "json", "order": w.order, "in_flight": w.inFlight,
		"pool": map[string]any{"max_per_host": max(w.inFlight, 2), "max_total": max(w.inFlight, 2)},
	}
	if w.batch > 1 {
		s["format"], s["batch"] = "json_array", map[string]any{"max_events": w.batch}
	}
	return s
}

// receiver is the local endpoint: it reads every body and counts the events in it.
type receiver struct {
	server *http.Server
	addr   string
	// want is how many events are waited for.
	want     int64
	got      atomic.Int64
	requests atomic.Int64
	first    atomic.Int64
	// quarter is when a quarter of the events had come.
	quarter atomic.Int64
	done    chan struct{}
	once    sync.Once
	// seen, if it is set, hears of each body.
	seen func(path string, body []byte)
}

// marker stands once in every event that [seedSQLite] or [load] makes.
var marker = []byte(`"id":"ord_`)

func listen(ctx context.Context, want int64, seen func(path string, body []byte)) (*receiver, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{addr: l.Addr().String(), want: want, done: make(chan struct{}), seen: seen}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ServeHTTP takes a request.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, _ := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(b)
	b.Reset()
	if _, err := io.Copy(b, q.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.first.CompareAndSwap(0, time.Now().UnixNano())
	if r.seen != nil {
		r.seen(q.URL.Path, b.Bytes())
	}
	r.requests.Add(1)
	got := r.got.Add(int64(bytes.Count(b.Bytes(), marker)))
	if got >= r.want/4 && r.quarter.Load() == 0 {
		r.quarter.CompareAndSwap(0, time.Now().UnixNano())
	}
	if got >= r.want {
		r.once.Do(func() { close(r.done) })
	}
	w.WriteHeader(http.StatusNoContent)
}

// seconds waits until everything has come and returns how long that took from
// the first request on.
func (r *receiver) seconds(ctx context.Context) (float64, error) {
	select {
	case <-r.done:
		return time.Since(time.Unix(0, r.first.Load())).Seconds(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%d of %d events came: %w", r.got.Load(), r.want, ctx.Err())
	}
}

// deliver compares draining a log of stored events to a local endpoint, in turn
// with a bare program that reads the same rows of the same store and sends them.
func deliver(ctx context.Context, o options) error {
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	dir := filepath.Join(root, "store")
	if err := seedSQLite(ctx, dir, o.records-1, o.payload); err != nil {
		return err
	}
	for _, w := range ways {
		if o.way != "" && o.way != w.name {
			continue
		}
		var weir, floor []turn
		for round := range o.rounds {
			name := w.name + strconv.Itoa(round)
			c := childOptions{Role: "weir", Dir: dir, Sinks: []benchSink{{Name: name}}}
			c.Secret, _ = newSecret()
			if o.profile != "" {
				c.Profile = filepath.Join(o.profile, "deliver-"+name+".pprof")
			}
			a, err := drained(ctx, o, w, c)
			if err != nil {
				return err
			}
			a.print("weir", round)
			f := childOptions{Role: "floor-deliver", Dir: dir}
			if o.profile != "" {
				f.Profile = filepath.Join(o.profile, "deliver-"+name+"-floor.pprof")
			}
			b, err := drained(ctx, o, w, f)
			if err != nil {
				return err
			}
			b.print("floor", round)
			weir, floor = append(weir, a), append(floor, b)
		}
		compare("deliver "+w.name, weir, floor)
	}
	return nil
}

// drained has one side deliver everything.
func drained(ctx context.Context, o options, w way, c childOptions) (t turn, err error) {
	r, err := listen(ctx, int64(o.records-1), nil) // the first event is no order
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, r.server.Close()) }()
	endpoint := "http://" + r.addr + "/"
	for i := range c.Sinks {
		c.Sinks[i].Settings = w.settings(endpoint)
	}
	c.API, c.InFlight, c.Batch = endpoint, w.inFlight, w.batch
	p, err := start(ctx, c)
	if err != nil {
		return t, err
	}
	took, err := r.seconds(ctx)
	if err != nil {
		_, stopErr := p.stop()
		return t, errors.Join(err, stopErr)
	}
	used, err := p.cpu()
	if err != nil {
		return t, err
	}
	e, err := p.stop()
	if err != nil {
		return t, err
	}
	t.requests, t.seconds = int64(o.records), took
	t.cpu = used / time.Duration(o.records)
	t.commits = float64(e.Commits) / float64(o.records)
	return t, nil
}
