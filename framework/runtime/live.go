package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// connectionSet is what is configured at one time. It never changes: a change of
// the configuration makes another one.
type connectionSet struct {
	byID map[string]*connection
	// failed says why the deployed revision of a connection does not run here. The
	// one that ran before goes on, if there was one; if not, it is in shut.
	failed map[string]failure
	shut   map[string]store.Connection

	index   sync.Once
	streams map[string][]config.StreamRef
	ids     map[string]map[string]string
	exact   map[[2]string]config.StreamRef
}

func newSet() *connectionSet {
	return &connectionSet{byID: map[string]*connection{}, failed: map[string]failure{}, shut: map[string]store.Connection{}}
}

func (s *connectionSet) clone() *connectionSet {
	return &connectionSet{byID: maps.Clone(s.byID), failed: maps.Clone(s.failed), shut: maps.Clone(s.shut)}
}

// forget takes a connection out.
func (s *connectionSet) forget(id string) {
	delete(s.byID, id)
	s.mended(id)
}

// mended says that nothing of a connection fails.
func (s *connectionSet) mended(id string) {
	delete(s.failed, id)
	delete(s.shut, id)
}

// closed reports that nothing of a connection runs, because its deployed revision
// does not open.
func (s *connectionSet) closed(id string) bool {
	return s.failed[id] != (failure{}) && s.byID[id] == nil
}

// project returns the streams of a project in the order of their ids, and the ids
// of its connections by name.
func (s *connectionSet) project(name string) ([]config.StreamRef, map[string]string) {
	s.index.Do(func() {
		s.streams, s.ids, s.exact = map[string][]config.StreamRef{}, map[string]map[string]string{}, map[[2]string]config.StreamRef{}
		for id, c := range s.byID {
			if s.ids[c.Project] == nil {
				s.ids[c.Project] = map[string]string{}
			}
			s.ids[c.Project][c.Name] = id
			for _, stream := range c.manifest.Streams {
				ref := config.StreamRef{Connection: c.Name, Stream: stream.Key, Former: stream.Former()}
				s.streams[c.Project] = append(s.streams[c.Project], ref)
				s.exact[[2]string{c.Project, ref.ID()}] = ref
			}
		}
		for _, refs := range s.streams {
			slices.SortFunc(refs, func(a, b config.StreamRef) int { return cmp.Compare(a.ID(), b.ID()) })
		}
	})
	return s.streams[name], s.ids[name]
}

// subscribed is config.Subscribed on the streams of a project. Whole ids, which are
// nearly all, are looked up: with thousands of sinks and streams nobody may look at
// each pair.
func (s *connectionSet) subscribed(project string, subscriptions []string) ([]config.StreamRef, []error) {
	known, _ := s.project(project)
	var named []config.StreamRef
	for _, id := range subscriptions {
		ref, ok := s.exact[[2]string{project, id}]
		if !ok {
			return config.Subscribed(subscriptions, known)
		}
		named = append(named, ref)
	}
	slices.SortFunc(named, func(a, b config.StreamRef) int { return cmp.Compare(a.ID(), b.ID()) })
	return slices.CompactFunc(named, func(a, b config.StreamRef) bool { return a.ID() == b.ID() }), nil
}

// find returns a connection that is configured now.
func (r *Runtime) find(id string) (*connection, bool) {
	c, ok := r.set.Load().byID[id]
	return c, ok
}

// all are the connections that are configured now, by id. It must not be changed.
func (r *Runtime) all() map[string]*connection { return r.set.Load().byID }

// written is a connection as a file of this process says it, with its spec: what
// stands in the file alone comes from there.
type written struct {
	config config.Connection
	spec   resource.Spec
}

// Refresh takes up what the store says now: each connection that was changed goes
// on with its deployed revision, and one whose revision does not open goes on with
// the one before.
func (r *Runtime) Refresh(ctx context.Context) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	err := r.refresh(ctx, false)
	r.behind.Store(err != nil)
	return err
}

// refresh is Refresh. At the start, what does not open refuses it where the
// operator's file says it.
func (r *Runtime) refresh(ctx context.Context, starting bool) error {
	version, err := r.store.ConfigurationVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	versions, err := r.store.ConfiguredVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var ids []string
	for id, v := range versions {
		if known, ok := r.versions[id]; !ok || known != v {
			ids = append(ids, id)
		}
	}
	next, seen := r.set.Load().clone(), maps.Clone(r.versions)
	gone := 0
	for id := range r.versions {
		if _, there := versions[id]; !there {
			next.forget(id)
			delete(seen, id)
			gone++
		}
	}
	if len(ids) == 0 && gone == 0 {
		r.configuration.Store(version)
		return nil
	}
	wanted := ids
	if len(ids) > len(versions)/2 {
		wanted = nil // nearly all: one read of everything
	}
	deployments, err := r.store.Deployments(ctx, wanted)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if err := r.takeUp(ctx, next, seen, deployments, starting); err != nil {
		return err
	}
	r.versions = seen
	r.set.Store(next)
	r.configuration.Store(version)
	if starting {
		return r.store.SetRetention(r.retention())
	}
	r.targetTable.Replace(r.targets())
	r.triggersChanged()
	if err := r.store.SetRetention(r.retention()); err != nil {
		r.log.Error("the new retention could not be set", "err", err)
	}
	wake(r.reconfigured)
	r.feed.Notify()
	return nil
}

// takeUp puts deployments into a set, and their versions into seen.
func (r *Runtime) takeUp(ctx context.Context, next *connectionSet, seen map[string]int64, deployments []store.Deployment, starting bool) error {
	projects, err := r.store.Projects(ctx)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var names []string
	for _, p := range projects {
		names = append(names, p.Name)
	}
	former, err := r.store.RenamedConnections(ctx)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var errs []error
	for _, d := range deployments {
		old := next.byID[d.ID]
		if known, ok := seen[d.ID]; ok && known == d.Version {
			continue
		}
		seen[d.ID] = d.Version
		if d.Deployed == 0 || d.Spec == nil {
			next.forget(d.ID)
			continue
		}
		c, err := r.taken(ctx, d, old, names, slices.Contains(former, d.ID))
		if err == nil {
			next.byID[d.ID] = c
			next.mended(d.ID)
			continue
		}
		if _, ours := r.file[[2]string{d.Project, d.Name}]; starting && ours {
			errs = append(errs, err)
			continue
		}
		if old != nil && !d.Enabled {
			delete(next.byID, d.ID) // it was switched off
			old = nil
		}
		f := failure{d.Deployed, fmt.Sprintf("revision %d does not open: %v", d.Deployed, err)}
		if old != nil {
			f.reason += fmt.Sprintf("; revision %d goes on", old.revision)
		}
		again := next.failed[d.ID] == f // it was tried once more
		next.failed[d.ID] = f
		delete(next.shut, d.ID)
		switch {
		case old != nil && (!again || old.desired != d.State):
			next.byID[d.ID] = old.provenBy(c, d.State)
		case old == nil && d.Enabled && d.Type == resource.TypeSource:
			next.shut[d.ID] = d.Connection
		}
		if !again {
			r.log.Error("a revision does not open", "project", d.Project, "connection", d.Name, "revision", d.Deployed, "goes_on", old != nil, "err", err)
		}
	}
	return errors.Join(errs...)
}

// provenBy is the connection as it goes on when a newer revision does not open.
// Senders prove themselves to the newer one all the same, since its change may have
// taken a secret away; an endpoint that it makes no verifier for refuses everything.
// It waits when the operator says so.
func (c *connection) provenBy(newer *connection, desired store.Desired) *connection {
	same := *c
	same.desired = desired
	same.stopgap, same.endpoints = true, make(map[string]*webhook.Verifier, len(c.endpoints))
	for path := range c.endpoints {
		same.endpoints[path] = nil
		if newer != nil {
			same.endpoints[path] = newer.endpoints[path]
		}
	}
	return &same
}

// taken makes what a deployment runs on. What is the same is taken over from old.
// With an error it may return as much as could be made.
func (r *Runtime) taken(ctx context.Context, d store.Deployment, old *connection, projects []string, renamed bool) (*connection, error) {
	c, own, err := r.wanted(ctx, d, projects)
	if err != nil {
		return nil, err
	}
	if old != nil && !old.stopgap && old.revision == d.Deployed && old.Project == d.Project && old.Name == d.Name && old.Enabled == d.Enabled && reflect.DeepEqual(old.source, c) {
		same := *old
		same.desired, same.version = d.State, d.Version
		if same.desired == old.desired {
			return old, nil
		}
		return &same, nil
	}
	one := r.prepared[[2]string{d.Project, d.Name}]
	if !own || one == nil {
		if one, err = r.prepare(c); err != nil {
			return one, err
		}
	}
	one.Connection, one.revision, one.version, one.desired, one.source = d.Connection, d.Deployed, d.Version, d.State, c
	if renamed || slices.ContainsFunc(one.declared, hasFormer) {
		if err := r.rename(ctx, one); err != nil {
			return one, err
		}
	}
	return one, r.open(ctx, one)
}

// wanted is the connection that a deployment stands for. own says that it is as
// the file of this process has it.
func (r *Runtime) wanted(ctx context.Context, d store.Deployment, projects []string) (c config.Connection, own bool, err error) {
	if w, ok := r.file[[2]string{d.Project, d.Name}]; ok && d.ManagedBy == store.ManagedByFile {
		var s resource.Spec
		if err := s.UnmarshalJSON(d.Spec); err != nil {
			return c, false, err
		}
		if resource.Same(s, w.spec) {
			return w.config, true, nil
		}
	}
	c, err = r.desk.Runnable(ctx, d, projects)
	return c, false, err
}

// wake lets who waits for c look again.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
