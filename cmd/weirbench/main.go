package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags of all works; each reads those that it needs.
type options struct {
	rounds, connections int
	duration, warmup    time.Duration
	dir, postgres       string
	records, events     int
	payload             int
	profile, way        string
	keep                bool
	seeded              string
	sinks, clients      int
}

// works are what can be measured.
var works = map[string]func(ctx context.Context, o options) error{
	"webhooks": webhooks,
	"poll":     polls,
	"growth":   growth,
	"mixed":    mixed,
	"deliver":  deliver,
	"latency":  latency,
	"sinks":    sinks,
	"crowd":    crowd,
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "weirbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	names := strings.Join(slices.Sorted(maps.Keys(works)), ", ")
	if len(args) == 0 {
		return errors.New("say what to measure: " + names)
	}
	if args[0] == "child" {
		return child(ctx, args[1:])
	}
	work, ok := works[args[0]]
	if !ok {
		return fmt.Errorf("there is no work %q; there are %s", args[0], names)
	}
	var o options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "turns of Weir and of the floor")
	flags.IntVar(&o.connections, "connections", 64, "keep-alive connections that send")
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "how long each turn is measured")
	flags.DurationVar(&o.warmup, "warmup", 2*time.Second, "how long each turn runs before it is measured")
	flags.StringVar(&o.dir, "dir", "", "folder for the stores (default: the system's for temporary files)")
	flags.StringVar(&o.postgres, "postgres", "", "URL of an empty PostgreSQL database to use instead of SQLite")
	flags.IntVar(&o.records, "records", 200_000, "records to poll, or events to deliver")
	flags.IntVar(&o.events, "events", 10_000_000, "events that are there before, in growth")
	flags.StringVar(&o.seeded, "seeded", "", "folder with a store that growth has seeded before (its full, kept with -keep) instead of a new one")
	flags.IntVar(&o.payload, "payload", 1024, "bytes of a webhook's body")
	flags.StringVar(&o.profile, "profile", "", "folder to write a CPU profile of each side into, one a turn")
	flags.StringVar(&o.way, "way", "", "deliver only in this way: single, batches or ordered")
	flags.IntVar(&o.sinks, "sinks", 1000, "sinks of which a tenth has an endpoint that lives, in sinks")
	flags.IntVar(&o.clients, "clients", 1000, "callers of a trigger at a time, in crowd: at most 1000")
	flags.BoolVar(&o.keep, "keep", false, "leave the stores behind")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return work(ctx, o)
}

// workspace makes the folder of one measurement.
func (o options) workspace() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp(o.dir, "weirbench-"); err != nil {
		return "", nil, err
	}
	return dir, func() {
		if o.keep {
			fmt.Println("stores are left in", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "weirbench:", err)
		}
	}, nil
}
