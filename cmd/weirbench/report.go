package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// turn is what one turn of one side has shown.
type turn struct {
	measured

	// cpu is the server's time on a processor a request, commits its transactions a request: each
	// is one sync to disk.
	cpu     time.Duration
	commits float64
}

func (t turn) print(side string, round int) {
	fmt.Printf("round %d  %-6s %9.0f /s  p50 %7s  p99 %7s  cpu %7s  %.3f commits\n",
		round, side, t.rate(), t.p50.Round(10*time.Microsecond), t.p99.Round(10*time.Microsecond), t.cpu.Round(100*time.Nanosecond), t.commits)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// compare prints the medians of the ratios of two sides that took turns.
func compare(what string, weir, floor []turn) {
	ratios := func(f func(turn) float64) (all []float64) {
		for i := range weir {
			all = append(all, f(weir[i])/f(floor[i]))
		}
		return all
	}
	rates, late := ratios(turn.rate), ""
	if floor[0].p99 > 0 {
		late = fmt.Sprintf(", p99 %.2f times its p99", median(ratios(func(t turn) float64 { return float64(t.p99) })))
	}
	fmt.Printf("%s: %.2f of the floor's rate (median of %d; %.2f)%s, CPU %.2f times\n", what, median(slices.Clone(rates)), len(rates), rates,
		late, median(ratios(func(t turn) float64 { return float64(t.cpu) })))
}

// newSecret makes a secret of Standard Webhooks.
func newSecret() (text string, key []byte) {
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails: https://pkg.go.dev/crypto/rand#Read
	return "whsec_" + base64.StdEncoding.EncodeToString(key), key
}

// loaded runs the load against a server of the role.
func loaded(ctx context.Context, o options, c childOptions, path string) (t turn, err error) {
	var key []byte
	c.Secret, key = newSecret()
	p, err := start(ctx, c)
	if err != nil {
		return t, err
	}
	salt, _ := newSecret()
	l := &load{addr: p.Addr, path: path, connections: o.connections, secret: key, payload: o.payload, salt: salt[6:14] + "-"}
	warm, err := l.run(ctx, o.warmup)
	if err != nil {
		return t, fmt.Errorf("%s: %w", c.Role, err)
	}
	before, err := p.cpu()
	if err != nil {
		return t, err
	}
	l.salt = salt[14:22] + "-"
	if t.measured, err = l.run(ctx, o.duration); err != nil {
		return t, fmt.Errorf("%s: %w", c.Role, err)
	}
	after, err := p.cpu()
	if err != nil {
		return t, err
	}
	e, err := p.stop()
	if err != nil {
		return t, err
	}
	t.cpu = (after - before) / time.Duration(t.requests)
	t.commits = float64(e.Commits) / float64(t.requests+warm.requests)
	return t, nil
}

// webhooks compares signed deliveries, each round on new stores.
func webhooks(ctx context.Context, o options) error {
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	var weir, floor []turn
	for round := range o.rounds {
		sides := []childOptions{{Role: "weir"}, {Role: "floor-sqlite"}}
		if o.postgres != "" {
			sides[1].Role = "floor-postgres"
		}
		for i := range sides {
			sides[i].Dir = filepath.Join(root, fmt.Sprintf("%d-%s", round, sides[i].Role))
			sides[i].Postgres = o.postgres
		}
		if o.profile != "" {
			for i := range sides {
				sides[i].Profile = filepath.Join(o.profile, fmt.Sprintf("webhooks-%s-%d.pprof", sides[i].Role, round))
			}
		}
		w, err := loaded(ctx, o, sides[0], "/webhooks/bench/orders")
		if err != nil {
			return err
		}
		w.print("weir", round)
		f, err := loaded(ctx, o, sides[1], "/")
		if err != nil {
			return err
		}
		f.print("floor", round)
		weir, floor = append(weir, w), append(floor, f)
	}
	compare("webhooks", weir, floor)
	return nil
}

// polls compares reading the local API to its end, each round into new stores.
func polls(ctx context.Context, o options) error {
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	a, err := serveAPI(ctx, o.records)
	if err != nil {
		return err
	}
	defer func() { _ = a.server.Close() }()
	var weir, floor []turn
	for round := range o.rounds {
		for _, role := range []string{"weir-poll", "floor-poll"} {
			c := childOptions{Role: role, Dir: filepath.Join(root, fmt.Sprintf("%d-%s", round, role)), API: a.addr, Records: o.records}
			if o.profile != "" {
				c.Profile = filepath.Join(o.profile, fmt.Sprintf("%s-%d.pprof", role, round))
			}
			t, err := polledTurn(ctx, o, c)
			if err != nil {
				return err
			}
			t.print(role[:len(role)-len("-poll")], round)
			if role == "weir-poll" {
				weir = append(weir, t)
			} else {
				floor = append(floor, t)
			}
		}
	}
	compare("poll", weir, floor)
	return nil
}

func polledTurn(ctx context.Context, o options, c childOptions) (t turn, err error) {
	p, err := start(ctx, c)
	if err != nil {
		return t, err
	}
	took, err := time.ParseDuration(p.Addr)
	if err != nil {
		return t, err
	}
	used, err := p.cpu()
	if err != nil {
		return t, err
	}
	e, err := p.stop()
	if err != nil {
		return t, err
	}
	t.requests, t.seconds = int64(o.records), took.Seconds()
	t.cpu = used / time.Duration(o.records)
	t.commits = float64(e.Commits) / float64(o.records)
	return t, nil
}
