package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// faults is one in how many requests of each kind of trouble.
const faults = 100

// oversized is the length of a body that no endpoint of the benchmark takes, and
// slowness how long a slow body pauses in its middle.
const (
	oversized = 2 << 20
	slowness  = 200 * time.Millisecond
)

// rough is what a load with trouble in it has seen.
type rough struct {
	measured
	// recorded counts the deliveries that must be in the log, each once.
	recorded                               int64
	forged, repeated, oversized, slowPaced int64
}

// runRough is run with 1 % bad signatures, 1 % duplicates, 1 % oversized and 1 %
// slow bodies among good requests, which alone are measured.
func (l *load) runRough(ctx context.Context, d time.Duration) (rough, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var next atomic.Int64
	var senders sync.WaitGroup
	errs := make(chan error, l.connections)
	all := make([]rough, l.connections)
	took := make([][]time.Duration, l.connections)
	start := time.Now()
	for i := range l.connections {
		senders.Go(func() {
			var err error
			if took[i], err = l.sendRough(ctx, &next, &all[i]); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	senders.Wait()
	seconds := time.Since(start).Seconds()
	close(errs)
	if err := <-errs; err != nil {
		return rough{}, err
	}
	var sum rough
	for _, r := range all {
		sum.recorded += r.recorded
		sum.forged += r.forged
		sum.repeated += r.repeated
		sum.oversized += r.oversized
		sum.slowPaced += r.slowPaced
	}
	good := slices.Concat(took...)
	if len(good) == 0 {
		return rough{}, errors.New("nothing was answered")
	}
	slices.Sort(good)
	sum.measured = measured{int64(len(good)), seconds, good[len(good)/2], good[len(good)*99/100]}
	return sum, nil
}

// sendRough is one connection, which is made again when the server closes it.
func (l *load) sendRough(ctx context.Context, next *atomic.Int64, seen *rough) (took []time.Duration, err error) {
	var conn net.Conn
	var answers *bufio.Reader
	hangUp := func() {
		if conn != nil {
			_ = conn.Close()
			conn = nil
		}
	}
	defer hangUp()
	filler := bytes.Repeat([]byte("x"), max(l.payload-80, 1))
	last := ""
	for ctx.Err() == nil {
		if conn == nil {
			// The end of the round is no error of the dialer.
			if conn, err = new(net.Dialer).DialContext(context.WithoutCancel(ctx), "tcp", l.addr); err != nil {
				return took, err
			}
			answers = bufio.NewReader(conn)
		}
		n := next.Add(1)
		id := l.salt + strconv.FormatInt(n, 36)
		want, kind := http.StatusOK, n%faults
		if kind == 1 && last != "" {
			id = last
		}
		body := fmt.Appendf(nil, `{"id":"ord_%s","version":"1","text":"%s"}`, id, filler)
		request := l.request(nil, id, body)
		pause := 0
		switch kind {
		case 0:
			// The signature is of another body.
			request, want = bytes.Replace(request, []byte(`"version":"1"`), []byte(`"version":"2"`), 1), http.StatusUnauthorized
		case 2:
			request = bytes.Replace(request, fmt.Appendf(nil, "Content-Length: %d", len(body)), fmt.Appendf(nil, "Content-Length: %d", oversized), 1)
			want = http.StatusRequestEntityTooLarge
		case 3:
			pause = len(request) - len(body)/2
		}
		sent := time.Now()
		if _, err := conn.Write(request[:pause]); err != nil {
			return took, err
		}
		if pause > 0 {
			// A sender that has begun ends what it has begun.
			<-time.After(slowness)
		}
		if _, err := conn.Write(request[pause:]); err != nil {
			return took, err
		}
		status, err := statusOf(answers)
		if err == nil && status != want {
			err = fmt.Errorf("a request of kind %d is answered with %d, not %d", kind, status, want)
		}
		if err != nil {
			return took, err
		}
		switch {
		case kind == 0:
			seen.forged++
		case kind == 2:
			seen.oversized++
			hangUp() // its body was not sent
		case id == last:
			seen.repeated++
		default:
			seen.recorded++
			last = id
			if kind == 3 {
				seen.slowPaced++
			} else {
				took = append(took, time.Since(sent))
			}
		}
	}
	return took, nil
}

// statusOf reads one response with any status.
func statusOf(r *bufio.Reader) (int, error) {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	defer response.Body.Close()
	_, err = bufio.NewReader(response.Body).Discard(int(max(response.ContentLength, 0)))
	return response.StatusCode, err
}

// mixed compares good requests alone with good ones among bad ones. Each round is
// on a new store.
func mixed(ctx context.Context, o options) error {
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	for round := range o.rounds {
		if err := mixedRound(ctx, o, filepath.Join(root, fmt.Sprintf("%d-weir", round)), round); err != nil {
			return err
		}
	}
	return nil
}

func mixedRound(ctx context.Context, o options, dir string, round int) (err error) {
	secret, key := newSecret()
	p, err := start(ctx, childOptions{Role: "weir", Dir: dir, Postgres: o.postgres, Secret: secret})
	if err != nil {
		return err
	}
	defer func() {
		_, stopErr := p.stop()
		err = errors.Join(err, stopErr)
	}()
	l := &load{addr: p.Addr, path: "/webhooks/bench/orders", connections: o.connections, secret: key, payload: o.payload}
	measure := func(salt string, d time.Duration) (rough, error) {
		l.salt = salt
		return l.runRough(ctx, d)
	}
	warm, err := measure("w-", o.warmup)
	if err != nil {
		return err
	}
	l.salt = "c-"
	clean, err := l.run(ctx, o.duration)
	if err != nil {
		return err
	}
	trouble, err := measure("m-", o.duration)
	if err != nil {
		return err
	}
	recorded, err := eventsOf(ctx, p.Addr)
	if err != nil {
		return err
	}
	if want := warm.recorded + clean.requests + trouble.recorded; recorded != want {
		return fmt.Errorf("%d events are in the log, but %d good requests were acknowledged", recorded, want)
	}
	fmt.Printf("round %d  clean %6.0f /s p99 %7s  mixed %6.0f /s p99 %7s (%.2f times)  forged %d, repeated %d, oversized %d, slow %d  memory at most %d MiB\n",
		round, clean.rate(), clean.p99.Round(10*time.Microsecond), trouble.rate(), trouble.p99.Round(10*time.Microsecond),
		float64(trouble.p99)/float64(clean.p99), trouble.forged, trouble.repeated, trouble.oversized, trouble.slowPaced, p.memory()>>20)
	return nil
}

// eventsOf asks how many events the stream of the benchmark has.
func eventsOf(ctx context.Context, addr string) (int64, error) {
	var stream struct {
		EventsTotal int64 `json:"events_total"`
	}
	err := getJSON(ctx, "http://"+addr+"/api/v1/connections/bench/streams/orders", &stream)
	return stream.EventsTotal, err
}
