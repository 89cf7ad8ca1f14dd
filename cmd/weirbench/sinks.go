package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"
)

// goodOf is one in how many of the sinks has an endpoint that lives.
const goodOf = 10

// sinks compares the speed of a tenth of many sinks while the endpoints of all
// others are dead with their speed alone, in turn. Half of the dead ones refuse
// connections, the others take them and say nothing.
func sinks(ctx context.Context, o options) error {
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	dir := filepath.Join(root, "store")
	if err := seedSQLite(ctx, dir, o.records-1, o.payload); err != nil {
		return err
	}
	good := max(o.sinks/goodOf, 1)
	var among, alone []turn
	for round := range o.rounds {
		for _, dead := range []int{o.sinks - good, 0} {
			t, memory, err := sinksTurn(ctx, o, dir, fmt.Sprintf("%d-%d", round, dead), good, dead)
			if err != nil {
				return err
			}
			side := "among"
			if dead == 0 {
				side = "alone"
				alone = append(alone, t)
			} else {
				among = append(among, t)
			}
			t.print(side, round)
			fmt.Printf("         %d sinks with an endpoint and %d without: memory at most %d MiB\n", good, dead, memory>>20)
		}
	}
	compare(fmt.Sprintf("sinks (the floor is the %d good ones alone)", good), among, alone)
	return nil
}

// sinksTurn has the good sinks deliver everything.
func sinksTurn(ctx context.Context, o options, dir, name string, good, dead int) (t turn, memory int64, err error) {
	r, err := listen(ctx, int64(good)*int64(o.records-1), nil)
	if err != nil {
		return t, 0, err
	}
	defer func() { err = errors.Join(err, r.server.Close()) }()
	refusing, err := bury(ctx)
	if err != nil {
		return t, 0, err
	}
	refusing.close()
	silent, err := bury(ctx)
	if err != nil {
		return t, 0, err
	}
	defer silent.close()
	c := childOptions{Role: "weir", Dir: dir}
	c.Secret, _ = newSecret()
	if o.profile != "" {
		c.Profile = filepath.Join(o.profile, "sinks-"+name+".pprof")
	}
	w := ways[2]
	for i := range good {
		c.Sinks = append(c.Sinks, benchSink{Name: fmt.Sprintf("good-%s-%d", name, i), Settings: w.settings("http://" + r.addr + "/")})
	}
	for i := range dead {
		c.Sinks = append(c.Sinks, benchSink{Name: fmt.Sprintf("dead-%s-%d", name, i), Settings: w.settings("http://" + []*grave{refusing, silent}[i%2].addr + "/")})
	}
	p, err := start(ctx, c)
	if err != nil {
		return t, 0, err
	}
	_, err = r.seconds(ctx)
	if err != nil {
		_, stopErr := p.stop()
		return t, 0, errors.Join(err, stopErr)
	}
	ended := time.Now()
	used, err := p.cpu()
	if err != nil {
		return t, 0, err
	}
	memory = p.memory()
	silent.close() // a sink that ends waits for its requests
	e, err := p.stop()
	if err != nil {
		return t, 0, err
	}
	// To begin with a thousand sinks takes a while, in which the first are served
	// already: the speed is that of the last three quarters.
	t.requests, t.seconds = r.want-r.want/4, ended.Sub(time.Unix(0, r.quarter.Load())).Seconds()
	t.cpu = used / time.Duration(r.want)
	t.commits = float64(e.Commits) / float64(r.want)
	return t, memory, nil
}

// grave is an endpoint that takes connections and what comes over them, and never
// answers. Closed, it refuses them.
type grave struct {
	addr string
	l    net.Listener

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

func bury(ctx context.Context) (*grave, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &grave{addr: l.Addr().String(), l: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			g.swallow(conn)
		}
	}()
	return g, nil
}

func (g *grave) swallow(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = conn.Close()
		return
	}
	g.conns = append(g.conns, conn)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
}

// close ends it and all its connections.
func (g *grave) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	_ = g.l.Close()
	for _, conn := range g.conns {
		_ = conn.Close()
	}
}
