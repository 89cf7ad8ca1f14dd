package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// duty is the work of one connection that this process has taken on: its runs
// and the retries of its stored deliveries.
type duty struct {
	// connection is what it is the work of: another revision is another duty.
	connection *connection
	// epoch is that of the lease under which it was taken on.
	epoch int64
	// again says that it is to end and begin once more.
	again bool
	// ending is set while it ends; it cuts short what is still going on.
	ending context.CancelCauseFunc
	// sources are the streams of a sink, nil of one that was not started; set is
	// what they were found in.
	sources []store.Source
	set     *connectionSet
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
		wake(r.assigned)
		for waiting := true; waiting; {
			waiting = false
			select {
			case <-ctx.Done():
				r.endings.Wait()
				return
			case <-changed:
			case <-again:
			case <-r.reconfigured:
			case <-r.ended.waiting:
				for _, id := range r.ended.take() {
					delete(r.duties, id)
				}
				waiting = again != nil // what fails is tried again in a while, not as fast as it ends
			case <-r.restarted.waiting:
				for _, id := range r.restarted.take() {
					if d := r.duties[id]; d != nil {
						d.again = true
					}
				}
			case <-r.fenced.waiting:
				for _, id := range r.fenced.take() {
					if d := r.duties[id]; d != nil {
						d.epoch = 0 // never a lease's: it is given up, and taken on again if it is still ours
					}
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

// assign compares what this process does with the leases that it holds and with
// what is configured.
func (r *Runtime) assign(ctx context.Context, held store.ShardEpochs) error {
	var gained []*connection
	busy := held
	set := r.set.Load()
	for id, c := range set.byID {
		d, epoch := r.duties[id], held.Of(id)
		switch {
		case d == nil && epoch != 0 && c.works():
			gained = append(gained, c)
		case d != nil && (d.again || d.epoch != epoch || d.connection != c):
			r.giveUp(id, d)
		case d != nil && d.sources != nil && d.set != set:
			if sources, _ := r.sourcesIn(set, c); !slices.Equal(d.sources, sources) {
				r.giveUp(id, d) // and is taken on again with the streams that its subscriptions name now
			}
			d.set = set
		}
	}
	for id, d := range r.duties {
		if set.byID[id] == nil {
			r.giveUp(id, d)
		}
		busy[store.Shard(id)] = -1
	}
	var errs []error
	if len(gained) > 0 {
		errs = append(errs, r.takeOn(ctx, gained, held))
		for _, c := range gained {
			busy[store.Shard(c.ID)] = -1
		}
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
				r.log.Warn("work of a connection was cut short as it ends here", "connection", d.connection.Name, "err", err)
			}
			r.budgets.Leave(ctx, id)
			r.ended.put(id)
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
	var statuses []store.StreamStatus
	for _, id := range askedFor(gained) {
		more, err := r.store.Statuses(ctx, id)
		if err != nil {
			return fmt.Errorf("read the status of streams: %w", err)
		}
		statuses = append(statuses, more...)
	}
	for _, c := range gained {
		r.duties[c.ID] = &duty{connection: c, epoch: held.Of(c.ID)}
	}
	failed, err := r.schedule(ctx, gained, statuses)
	// Whole connections or nothing: what was added of one is taken off again. The others
	// go on: the lease of one may be lost at this moment.
	errs := []error{err}
	for _, c := range gained {
		if err != nil || failed[c.ID] != nil {
			errs = append(errs, failed[c.ID])
			r.giveUp(c.ID, r.duties[c.ID])
		}
	}
	return errors.Join(errs...)
}

// deliverAll starts the sinks that were taken on and do not run yet.
func (r *Runtime) deliverAll(ctx context.Context) error {
	var errs []error
	set := r.set.Load()
	for _, d := range r.duties {
		c := d.connection
		if d.sources != nil || d.ending != nil || c.outlet == nil {
			continue
		}
		sources, err := r.sourcesIn(set, c)
		if err != nil {
			r.log.Warn("a subscription names no stream", "project", c.Project, "connection", c.Name, "err", err)
		}
		if err := r.deliver(ctx, c, sources); err != nil {
			errs = append(errs, err)
			continue
		}
		d.sources, d.set = sources, set
	}
	return errors.Join(errs...)
}

// onFenced is told that the store refuses this process's writes.
func (r *Runtime) onFenced(connectionID string, err error) {
	if _, changed := r.store.Shards(); connectionID == "" || changed == nil {
		r.fail(err)
		return
	}
	r.fenced.put(connectionID)
}

// few is how many connections are asked about one by one; more are read all.
const few = 16

// askedFor are the ids to read the state of, "" for that of all.
func askedFor(connections []*connection) []string {
	if len(connections) > few {
		return []string{""}
	}
	ids := make([]string, len(connections))
	for i, c := range connections {
		ids[i] = c.ID
	}
	return ids
}

// mailbox takes what is told to a goroutine. Nobody who tells waits.
type mailbox struct {
	mu      sync.Mutex
	list    []string
	waiting chan struct{}
}

func newMailbox() *mailbox { return &mailbox{waiting: make(chan struct{}, 1)} }

func (m *mailbox) put(id string) {
	m.mu.Lock()
	m.list = append(m.list, id)
	m.mu.Unlock()
	wake(m.waiting)
}

func (m *mailbox) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	return list
}
