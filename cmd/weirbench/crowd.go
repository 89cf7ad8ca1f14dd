package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// crowdEvery is how far the reports that a crowd hears are apart.
	crowdEvery = 500 * time.Millisecond
	// crowdOpens is how long one caller may take to be served in the mean, and
	// crowdStart beside that: the first report comes when all are.
	crowdOpens = 12 * time.Millisecond
	crowdStart = 500 * time.Millisecond
)

// crowd measures how old a report of progress is when its caller has it, while many
// callers have a run of their own and all runs report at the same moment. The floor
// is a bare server that keeps each report durably, all of a moment together, before
// it sends them.
func crowd(ctx context.Context, o options) error {
	if o.postgres != "" {
		return errors.New("crowd is measured on SQLite")
	}
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	var ratios []float64
	for round := range o.rounds {
		late := map[string]time.Duration{}
		for _, role := range []string{"weir", "floor-crowd"} {
			c := childOptions{Role: role, Dir: filepath.Join(root, fmt.Sprintf("%d-%s", round, role)), Trigger: "/tell"}
			c.Secret, _ = newSecret()
			c.Aside = filepath.Join(root, fmt.Sprintf("%d-%s.sock", round, role))
			if o.profile != "" {
				c.Profile = filepath.Join(o.profile, fmt.Sprintf("crowd-%s-%d.pprof", role, round))
			}
			if err := os.MkdirAll(c.Dir, 0o700); err != nil {
				return err
			}
			if late[role], err = crowdTurn(ctx, o, c, round); err != nil {
				return fmt.Errorf("%s: %w", role, err)
			}
		}
		ratios = append(ratios, float64(late["weir"])/float64(late["floor-crowd"]))
	}
	fmt.Printf("crowd: p99 %.2f times the floor's (median of %d)\n", median(ratios), len(ratios))
	return nil
}

func crowdTurn(ctx context.Context, o options, c childOptions, round int) (p99 time.Duration, err error) {
	p, err := start(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() {
		_, stopErr := p.stop()
		err = errors.Join(err, stopErr)
	}()
	// What is there once and stays is there after the first caller.
	first := &listeners{addr: p.Addr, path: "/default/tell"}
	if _, err := first.hear(ctx, 1, telling{Begin: time.Now().UnixMilli(), EveryMS: 1, Rounds: 1}); err != nil {
		return 0, err
	}
	before, err := settled(ctx, c.Aside, 0)
	if err != nil {
		return 0, err
	}
	used, err := p.cpu()
	if err != nil {
		return 0, err
	}
	all := &listeners{addr: p.Addr, path: "/default/tell"}
	opens := crowdStart + time.Duration(o.clients)*crowdOpens
	ages, err := all.hear(ctx, o.clients, telling{
		Begin: time.Now().Add(opens).UnixMilli(), EveryMS: crowdEvery.Milliseconds(), Rounds: max(int(o.duration/crowdEvery), 2),
	})
	if err != nil {
		return 0, err
	}
	after, err := settled(ctx, c.Aside, before)
	if err != nil {
		return 0, err
	}
	total, err := p.cpu()
	if err != nil {
		return 0, err
	}
	var p99s []time.Duration
	for _, one := range ages {
		slices.Sort(one)
		p99s = append(p99s, at(one, 99))
	}
	every := slices.Concat(ages...)
	slices.Sort(every)
	slices.Sort(p99s)
	fmt.Printf("round %d  %-11s  %d callers: p50 %7s  p99 %7s  (p99 of the median report %7s)  at most %7s  cpu %s a report  goroutines %d, and %d when all had gone  memory at most %d MiB\n",
		round, c.Role, o.clients, shown(at(every, 50)), shown(at(every, 99)), shown(at(p99s, 50)), shown(every[len(every)-1]),
		((total - used) / time.Duration(len(every))).Round(time.Microsecond), before, after, p.memory()>>20)
	if after > before+crowdSlack {
		return 0, fmt.Errorf("%d goroutines are left, %d were there before", after, before)
	}
	return at(every, 99), nil
}

// crowdSlack are goroutines that come and go by themselves.
const crowdSlack = 15

// settled waits until a child has at most as many goroutines as it had before, or
// no fewer with time.
func settled(ctx context.Context, path string, before int) (n int, err error) {
	for range 20 {
		if n, err = goroutines(ctx, path); err != nil || before > 0 && n <= before {
			return n, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return n, ctx.Err()
		}
		if before == 0 && n < 2*crowdSlack {
			break
		}
	}
	return n, nil
}

// listeners are callers of a trigger.
type listeners struct{ addr, path string }

// hear opens a stream for each caller, and returns how old each report was when its
// caller had it, by report.
func (l *listeners) hear(ctx context.Context, callers int, in telling) (ages [][]time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Until(time.UnixMilli(in.Begin))+time.Duration(in.Rounds)*time.Duration(in.EveryMS)*time.Millisecond+time.Minute)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	heard := make([][]time.Duration, callers)
	var work sync.WaitGroup
	errs := make(chan error, callers)
	slots := make(chan struct{}, 64) // as many open at a time
	var late atomic.Int64
	for i := range callers {
		work.Go(func() {
			var err error
			if heard[i], err = l.one(ctx, body, in, slots, &late); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	work.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return nil, err
	}
	if n := late.Load(); n > 0 {
		return nil, fmt.Errorf("%d of %d callers were not served when the first report was due", n, callers)
	}
	ages = make([][]time.Duration, in.Rounds)
	for _, one := range heard {
		for round, age := range one {
			ages[round] = append(ages[round], age)
		}
	}
	return ages, nil
}

var (
	dataLine    = []byte("data: ")
	typeEnd     = []byte(`"type":"complete"`)
	messagePart = []byte(`"message":"`)
)

// one is one caller. It reads by itself, as cheaply as it can: the machine is the
// server's.
func (l *listeners) one(ctx context.Context, body []byte, in telling, slots chan struct{}, late *atomic.Int64) (ages []time.Duration, err error) {
	slots <- struct{}{}
	release := sync.OnceFunc(func() { <-slots })
	defer release()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", l.path, l.addr, len(body), body); err != nil {
		return nil, err
	}
	lines := bufio.NewReaderSize(conn, 1024)
	status, err := lines.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if !bytes.Contains(status, []byte(" "+strconv.Itoa(http.StatusOK)+" ")) {
		return nil, fmt.Errorf("the trigger answers %s", bytes.TrimSpace(status))
	}
	for {
		line, err := lines.ReadSlice('\n')
		now := time.Now().UnixNano()
		switch {
		case err != nil:
			return nil, fmt.Errorf("read report %d: %w", len(ages), err)
		case !bytes.HasPrefix(line, dataLine):
			continue
		case bytes.Contains(line, typeEnd):
			if len(ages) != in.Rounds {
				return nil, fmt.Errorf("%d of %d reports came", len(ages), in.Rounds)
			}
			return ages, nil
		}
		_, text, is := bytes.Cut(line, messagePart)
		if !is { // the first frame says that the run has begun
			if release(); in.Rounds > 1 && now > in.Begin*int64(time.Millisecond) {
				late.Add(1)
			}
			continue
		}
		text, _, _ = bytes.Cut(text, []byte(`"`))
		sent, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the report %q has no time", line)
		}
		ages = append(ages, time.Duration(now-sent))
	}
}
