package runtime

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// While nodes of two versions of a connector share a store, a stream that the
// newer one has renamed, or whose cursor it has saved in a newer version, can be
// worked on by it alone, and so can the sinks of a renamed one. The older node asks
// the others who can, and leaves the shard to them as long as there is one. See
// docs/decisions.

const (
	// deferEvery is how often an older node asks the others.
	deferEvery = 3 * time.Second
	// deferFor is how long a shard is left to the others after the last time that
	// one of them said it could have it, and how long that one wants it: some
	// questions that nobody answered, a node that is busy, change nothing.
	deferFor = 20 * time.Second
)

// need is what a process must declare to work on a stream.
type need struct {
	Connector string `json:"connector"`
	Stream    string `json:"stream"`
	// Version is the least CursorVersion that reads what is saved.
	Version int `json:"version,omitempty"`
}

// behind is a stream for which the connector of this process is too old.
type behind struct {
	connection, stream string
	renamed            bool
}

// deference is what this process leaves to newer ones, and is left by older ones.
type deference struct {
	mu sync.Mutex
	// streams are those that this process is too old for: the stream as it is called
	// now, and the version of its cursor.
	streams map[behind]need
	// refused and wanted are shards, with the time of the last answer or question.
	refused, wanted map[int]time.Time
}

func newDeference() *deference {
	return &deference{streams: map[behind]need{}, refused: map[int]time.Time{}, wanted: map[int]time.Time{}}
}

// renamed notes that a newer version calls a stream otherwise.
func (d *deference) renamed(connection string, r store.Rename) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams[behind{connection, r.From, true}] = need{Stream: r.To}
}

// read notes whether the cursor of a stream could be read.
func (d *deference) read(connection, stream string, version int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := behind{connection, stream, false}
	if errors.Is(err, framework.ErrNewerConnector) {
		d.streams[at] = need{Stream: stream, Version: version}
	} else {
		delete(d.streams, at)
	}
}

// needs returns what a process must declare to have the shards whose streams this
// one is too old for. affected names the connector of a stream and the connections
// whose work it is, or is false for a stream that is gone.
func (d *deference) needs(affected func(behind) (connector string, connections []string, ok bool)) map[int][]need {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[int][]need{}
	for at, n := range d.streams {
		key, connections, ok := affected(at)
		if !ok {
			delete(d.streams, at)
			continue
		}
		n.Connector = key
		for _, id := range connections {
			shard := store.Shard(id)
			if !slices.Contains(all[shard], n) {
				all[shard] = append(all[shard], n)
			}
		}
	}
	return all
}

// refuse notes the shards that other processes can have, of those that were asked
// about, and returns those that are new.
func (d *deference) refuse(shards []int, now time.Time) (added []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range shards {
		if _, known := d.refused[s]; !known {
			added = append(added, s)
		}
		d.refused[s] = now
		delete(d.wanted, s)
	}
	return added
}

// want notes the shards that an older process asks this one to take, but for those
// that this one leaves to others itself, and returns them: of two processes that are
// each too old for something in one shard, only one moves.
func (d *deference) want(shards []int, now time.Time) (taken []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range shards {
		if _, refused := d.refused[s]; !refused {
			d.wanted[s] = now
			taken = append(taken, s)
		}
	}
	return taken
}

// preference is what the store is told. What nobody has spoken of for long is over.
func (d *deference) preference(now time.Time) (p store.ShardPreference) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for of, into := range map[*map[int]time.Time]*[store.ShardCount]bool{&d.refused: &p.Refused, &d.wanted: &p.Wanted} {
		for s, at := range *of {
			if now.Sub(at) > deferFor {
				delete(*of, s)
				continue
			}
			into[s] = true
		}
	}
	return p
}

// deferToNewer leaves shards to newer processes, and takes those that older ones
// leave, until ctx ends.
func (r *Runtime) deferToNewer(ctx context.Context) {
	shared, ok := r.store.(store.Shared)
	if !ok {
		return
	}
	ticker := time.NewTicker(deferEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if shared.Peers() > 0 {
			r.askNewer(ctx)
		}
		shared.Prefer(r.deference.preference(time.Now()))
	}
}

// affected says whose work the streams of a set are: that of their connection, and
// of the sinks which read a stream that they know under its former key only.
func affected(set *connectionSet) func(behind) (connector string, connections []string, ok bool) {
	readers := sync.OnceValue(func() map[store.Source][]string {
		by := map[store.Source][]string{}
		for id, c := range set.byID {
			if c.outlet == nil {
				continue
			}
			_, ids := set.project(c.Project)
			chosen, _ := set.subscribed(c.Project, c.subscribed) // what is wrong with them was said when the sink was started
			for _, ref := range chosen {
				from := store.Source{ConnectionID: ids[ref.Connection], Stream: ref.Stream}
				by[from] = append(by[from], id)
			}
		}
		return by
	})
	return func(at behind) (string, []string, bool) {
		c := set.byID[at.connection]
		if c == nil {
			return "", nil, false
		}
		connections := []string{at.connection}
		if at.renamed {
			connections = append(connections, readers()[store.Source{ConnectionID: at.connection, Stream: at.stream}]...)
		}
		return c.Connector, connections, true
	}
}

// askNewer asks the others which of the shards they can have that this process is
// too old for.
func (r *Runtime) askNewer(ctx context.Context) {
	needs := r.deference.needs(affected(r.set.Load()))
	if len(needs) == 0 {
		return
	}
	answers, _, err := askPeers[[]int](ctx, r, command{Kind: kindNewer, Needs: questions(needs)})
	if err != nil {
		r.log.Debug("ask for a newer version of a connector", "err", err)
		return
	}
	if added := r.deference.refuse(slices.Concat(answers...), time.Now()); len(added) > 0 {
		r.log.Warn("streams are left to another node, whose connectors are newer; this node does not take their shards as long as it is there", "shards", len(added))
	}
}

// question asks who can have shards: whoever declares a stream with at least the version.
type question struct {
	need

	Shards []int `json:"shards"`
}

// questions turns needs around: there are few streams, and they need not be named
// for each shard.
func questions(needs map[int][]need) (list []question) {
	by := map[need][]int{}
	for shard, all := range needs {
		for _, n := range all {
			by[n] = append(by[n], shard)
		}
	}
	for n, shards := range by {
		slices.Sort(shards)
		list = append(list, question{n, shards})
	}
	slices.SortFunc(list, func(a, b question) int {
		return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Version, b.Version))
	})
	return list
}

// newer answers an older process which of the shards this one takes: those of which
// it can serve everything that is asked for.
func (r *Runtime) newer(list []question) []int {
	can := map[int]bool{}
	for _, q := range list {
		serves := r.declares(q.need)
		for _, s := range q.Shards {
			if s < 0 || s >= store.ShardCount {
				continue
			}
			known, asked := can[s]
			can[s] = serves && (known || !asked)
		}
	}
	maps.DeleteFunc(can, func(_ int, ok bool) bool { return !ok })
	now := time.Now()
	taken := r.deference.want(slices.Sorted(maps.Keys(can)), now)
	if shared, ok := r.store.(store.Shared); ok && len(taken) > 0 {
		shared.Prefer(r.deference.preference(now))
	}
	return taken
}

// declares reports whether a connector of this process has a stream with at least
// the given version of its cursor.
func (r *Runtime) declares(n need) bool {
	for _, p := range r.options.Plugins {
		if p.Key() == n.Connector {
			s, ok := p.Manifest().Stream(n.Stream)
			return ok && s.CursorVersion >= n.Version
		}
	}
	return false
}
