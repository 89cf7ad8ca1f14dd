package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// rest is how long the machine has nothing to do between two deliveries.
const rest = 10 * time.Millisecond

// latency measures how long an event takes from its webhook being sent to its
// arrival at a sink's endpoint, one at a time. The floor is the disk: the time of a
// sync of one page beside each. On PostgreSQL there are two nodes, which take the
// webhooks in turn, and no connection for LISTEN.
func latency(ctx context.Context, o options) error {
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	for round := range o.rounds {
		if err := latencyRound(ctx, o, filepath.Join(root, strconv.Itoa(round)), round); err != nil {
			return err
		}
	}
	return nil
}

func latencyRound(ctx context.Context, o options, dir string, round int) (err error) {
	arrived := make(chan time.Time, 1)
	want := make(chan []byte, 1)
	r, err := listen(ctx, 1<<62, func(_ string, body []byte) {
		now := time.Now()
		select {
		case id := <-want:
			if bytes.Contains(body, id) {
				arrived <- now
				return
			}
			want <- id // a later try of an earlier one
		default:
		}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.server.Close()) }()
	secret, key := newSecret()
	nodes := 1
	if o.postgres != "" {
		nodes = 2
	}
	var loads []*load
	var running []*process
	defer func() {
		for _, p := range running {
			_, stopErr := p.stop()
			err = errors.Join(err, stopErr)
		}
	}()
	for node := range nodes {
		p, err := start(ctx, childOptions{
			Role: "weir", Dir: filepath.Join(dir, strconv.Itoa(node)), Postgres: o.postgres, Secret: secret, Deaf: o.postgres != "",
			Sinks: []benchSink{{Name: "out", Settings: ways[2].settings("http://" + r.addr + "/")}},
		})
		if err != nil {
			return err
		}
		running = append(running, p)
		loads = append(loads, &load{addr: p.Addr, path: "/webhooks/bench/orders", connections: 1, secret: key, payload: o.payload})
	}
	disk, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	salt, _ := newSecret()
	var took, syncs []time.Duration
	end := time.Now().Add(o.warmup + o.duration)
	for n := 0; time.Now().Before(end); n++ {
		id := salt[6:14] + strconv.Itoa(n)
		want <- fmt.Appendf(nil, `"ord_%s"`, id)
		sent := time.Now()
		if err := loads[n%nodes].once(ctx, id); err != nil {
			return err
		}
		select {
		case at := <-arrived:
			if end.Sub(sent) < o.duration {
				took = append(took, at.Sub(sent))
			}
		case <-time.After(time.Minute):
			return fmt.Errorf("the event of delivery %d did not come within a minute", n)
		}
		synced, err := syncOnce(disk)
		if err != nil {
			return err
		}
		syncs = append(syncs, synced)
		time.Sleep(rest)
	}
	if len(took) == 0 {
		return errors.New("nothing was measured; let -duration be longer")
	}
	slices.Sort(took)
	slices.Sort(syncs)
	fmt.Printf("round %d  in to out p50 %7s  p99 %7s  (%d events, %d nodes)  floor: sync to disk p50 %7s  p99 %7s\n", round,
		shown(at(took, 50)), shown(at(took, 99)), len(took), nodes, shown(at(syncs, 50)), shown(at(syncs, 99)))
	return nil
}

// at is a percentile of what is sorted.
func at(sorted []time.Duration, percent int) time.Duration { return sorted[len(sorted)*percent/100] }

func shown(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// syncOnce writes a page and waits until it is on the disk.
func syncOnce(f *os.File) (time.Duration, error) {
	begun := time.Now()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return 0, err
	}
	err := f.Sync()
	return time.Since(begun), err
}
