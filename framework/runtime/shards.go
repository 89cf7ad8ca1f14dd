package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// duty is the work of one connection that this process has taken on: its runs
// and the retries of its stored deliveries.
type duty struct {
	// epoch is that of the lease under which it was taken on.
	epoch int64
	// ending is set while it ends; it cuts short what is still going on.
	ending context.CancelCauseFunc
	// sources are the streams of a sink, nil of one that was not started.
	sources []store.Source
}

const (
	// dutyRetry is when what could not be taken on is tried again.
	dutyRetry = time.Second
	// peerEvery is how often the pages are told to look for what other nodes did.
	peerEvery = 2 * time.Second
)

// follow takes connections on and gives them up as the shards of this process
// change, until ctx ends.
func (r *Runtime) follow(ctx context.Context) {
	r.delivering = true
	ticker := time.NewTicker(peerEvery)
	defer ticker.Stop()
	for {
		held, changed := r.store.Shards()
		var again <-chan time.Time
		if err := r.assign(ctx, held); err != nil && ctx.Err() == nil {
			r.log.Error("the work of some connections could not be taken on or given up; trying again", "err", err)
			again = time.After(dutyRetry)
		}
		for waiting := true; waiting; {
			waiting = false
			select {
			case <-ctx.Done():
				r.endings.Wait()
				return
			case <-changed:
			case <-again:
			case id := <-r.ended:
				delete(r.duties, id)
			case id := <-r.fenced:
				if d := r.duties[id]; d != nil {
					d.epoch = 0 // never a lease's: it is given up, and taken on again if it is still ours
				}
			case <-ticker.C:
				if r.peers() > 0 {
					r.feed.Notify()
				}
				waiting = true
			}
		}
	}
}

// peers is how many other processes share the store.
func (r *Runtime) peers() int {
	if s, ok := r.store.(store.Shared); ok {
		return s.Peers()
	}
	return 0
}

// assign compares what this process does with the leases that it holds.
func (r *Runtime) assign(ctx context.Context, held store.ShardEpochs) error {
	var gained []*connection
	busy := held
	for id, c := range r.byID {
		d, epoch := r.duties[id], held.Of(id)
		switch {
		case d == nil && epoch != 0 && (c.binding != nil || c.outlet != nil):
			gained = append(gained, c)
		case d != nil && d.epoch != epoch:
			r.giveUp(id, d)
		case d != nil && d.sources != nil && !slices.Equal(d.sources, r.sources(c)):
			r.giveUp(id, d) // and is taken on again with the streams that its globs name now
		}
		if r.duties[id] != nil {
			busy[store.Shard(id)] = -1
		}
	}
	var errs []error
	if len(gained) > 0 {
		errs = append(errs, r.takeOn(ctx, gained, held))
	}
	if r.delivering {
		errs = append(errs, r.deliverAll(ctx))
	}
	var idle []int
	for shard, epoch := range busy {
		if epoch == 0 {
			idle = append(idle, shard)
		}
	}
	if len(idle) > 0 {
		errs = append(errs, r.store.Yield(ctx, idle))
	}
	return errors.Join(errs...)
}

// giveUp ends the work of a connection: pages in flight may finish as long as the
// lease is held, and are cut short when it is not.
func (r *Runtime) giveUp(id string, d *duty) {
	if d.ending == nil {
		ctx, cut := context.WithCancelCause(context.Background())
		d.ending = cut
		r.endings.Go(func() {
			defer cut(nil)
			if err := errors.Join(r.scheduler.Remove(ctx, id), r.engine.Remove(ctx, id)); err != nil {
				r.log.Warn("work of a connection was cut short as it moves to another node", "connection", r.byID[id].Name, "err", err)
			}
			r.budgets.Leave(ctx, id)
			r.ended <- id
		})
	}
	if epoch, _ := r.store.Epoch(id); epoch == 0 || epoch != d.epoch {
		d.ending(store.ErrFenced)
	}
}

// takeOn begins the work of connections whose leases were gained.
func (r *Runtime) takeOn(ctx context.Context, gained []*connection, held store.ShardEpochs) error {
	interrupted, err := r.store.InterruptRuns(ctx, time.Now())
	if err != nil {
		return fmt.Errorf("end the runs of the last process: %w", err)
	}
	if interrupted > 0 {
		r.log.Warn("a process ended in the middle of runs; they go on at their checkpoints", "runs", interrupted)
	}
	statuses, err := r.store.Statuses(ctx, "")
	if err != nil {
		return fmt.Errorf("read the status of streams: %w", err)
	}
	for _, c := range gained {
		r.duties[c.ID] = &duty{epoch: held.Of(c.ID)}
	}
	if err := r.schedule(ctx, gained, statuses); err != nil {
		// Whole connections or nothing: what was added is taken off again.
		for _, c := range gained {
			r.giveUp(c.ID, r.duties[c.ID])
		}
		return err
	}
	return nil
}

// deliverAll starts the sinks that were taken on and do not run yet.
func (r *Runtime) deliverAll(ctx context.Context) error {
	var errs []error
	for id, d := range r.duties {
		c := r.byID[id]
		if d.sources != nil || d.ending != nil || c.outlet == nil {
			continue
		}
		sources := r.sources(c)
		if err := r.deliver(ctx, c, sources); err != nil {
			errs = append(errs, err)
			continue
		}
		d.sources = sources
	}
	return errors.Join(errs...)
}

// onFenced is told that the store refuses this process's writes.
func (r *Runtime) onFenced(connectionID string, err error) {
	if _, changed := r.store.Shards(); connectionID == "" || changed == nil {
		r.fail(err)
		return
	}
	select {
	case r.fenced <- connectionID:
	default: // all of them are being given up already
	}
}
