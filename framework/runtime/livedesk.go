package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/store"
)

// liveDesk is the runtime as the desk of connections sees it.
type liveDesk struct{ runtime *Runtime }

var _ resource.Live = liveDesk{}

// Refresh takes up what the store says now. Before all is assembled there is
// nothing to tell.
func (l liveDesk) Refresh(ctx context.Context) error {
	if l.runtime.intake == nil {
		return nil
	}
	return l.runtime.Refresh(ctx)
}

// Try opens a connection and lets go of it.
func (l liveDesk) Try(ctx context.Context, c config.Connection) error {
	one, err := l.runtime.trial(ctx, c, "con_trial")
	l.runtime.letGo(one)
	return err
}

// letGo ends what trial has opened.
func (r *Runtime) letGo(one *connection) {
	if one == nil || one.outlet == nil || one.outlet.spec.Close == nil {
		return
	}
	if err := one.outlet.spec.Close(); err != nil {
		r.log.Warn("close a sink that was tried", "connection", one.Name, "err", err)
	}
}

// trial makes a connection that is not scheduled.
func (r *Runtime) trial(ctx context.Context, c config.Connection, id string) (one *connection, err error) {
	if one, err = r.prepare(c); err != nil {
		return nil, err
	}
	one.ID = id
	switch {
	case !c.Enabled, one.trigger != nil:
		return one, nil // a trigger is open when it is prepared
	case c.Type == typeSink:
		return one, r.openSink(ctx, one)
	}
	return one, r.bind(ctx, one, func(client *http.Client) *http.Client { return client })
}

// Streams are those of a project that sinks may subscribe to.
func (l liveDesk) Streams(project string) []config.StreamRef {
	refs, _ := l.runtime.set.Load().project(project)
	return refs
}

// Observe says what is seen of connections. The conditions of all sinks among them
// are read at once.
func (l liveDesk) Observe(ctx context.Context, list []store.Configured) []resource.Observation {
	set := l.runtime.set.Load()
	out := make([]resource.Observation, len(list))
	at := map[string]int{}
	defer l.openedElsewhere(ctx, list, out)
	for i, c := range list {
		if f, failed := set.failed[c.ID]; failed {
			out[i].Failed, out[i].Reason = true, f.reason
		}
		one := set.byID[c.ID]
		if one == nil {
			continue
		}
		out[i].Running = one.revision
		if one.outlet != nil && !out[i].Failed {
			at[c.ID] = i
		}
	}
	if len(at) == 0 {
		return out
	}
	states, err := l.runtime.store.StatesOf(ctx, slices.Collect(maps.Keys(at)), delivery.StateName)
	if err != nil {
		return out
	}
	for _, one := range states {
		var s delivery.State
		if one.Name == delivery.StateName && json.Unmarshal(one.Value, &s) == nil && (s.Condition == delivery.StateFailed || s.Condition == delivery.StateDisabled) {
			i := at[one.ConnectionID]
			out[i].Failed, out[i].Reason = true, s.Reason
		}
	}
	return out
}

// SetPolls pauses or resumes all poll streams of a connection, as pages show them.
func (l liveDesk) SetPolls(ctx context.Context, connectionID string, paused bool) error {
	c, ok := l.runtime.find(connectionID)
	if !ok {
		return nil
	}
	var errs []error
	for _, s := range c.manifest.Streams {
		if s.Mode != catalog.ModePoll {
			continue
		}
		err := operations(l).SetPaused(ctx, connectionID, s.Key, paused)
		if err != nil {
			// Its work begins again right now, or nothing of it runs: what begins reads this.
			err = l.runtime.store.SetPaused(ctx, connectionID, s.Key, paused)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Restart begins the work of a connection again, at the node that has it.
func (l liveDesk) Restart(ctx context.Context, connectionID string) error {
	_, err := ask[nothing](ctx, l.runtime, command{Kind: kindRestart, Connection: connectionID})
	return err
}

// restart is Restart at this node.
func (o local) restart(ctx context.Context, connectionID string) error {
	// A revision that does not open is tried again.
	if err := o.runtime.reopen(ctx, connectionID); err != nil {
		return err
	}
	if f, failed := o.runtime.set.Load().failed[connectionID]; failed {
		return &api.ConflictError{Err: errors.New(f.reason)}
	}
	c, ok := o.runtime.find(connectionID)
	if !ok {
		return fmt.Errorf("connection %s: %w", connectionID, store.ErrNotFound)
	}
	if c.outlet != nil {
		if err := o.begun(ctx, connectionID, func() error { return o.runtime.engine.Resume(ctx, connectionID) }); err != nil {
			return sinkConflict(err)
		}
	}
	// It ends as when its shard is given away: what is going on may finish, and its
	// outcome is kept. Only then it begins.
	o.runtime.restarted.put(connectionID)
	return nil
}

// beginsAgain bounds how long a sink is waited for whose work begins again.
const beginsAgain = 5 * time.Second

// begun does something with a sink of this process. One that was just changed, or
// has just come here, may begin this moment: it is waited for.
func (o local) begun(ctx context.Context, connectionID string, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, beginsAgain)
	defer cancel()
	ticker := time.NewTicker(beginsAgain / 100)
	defer ticker.Stop()
	for {
		err := do()
		if c, known := o.runtime.find(connectionID); !errors.Is(err, delivery.ErrUnknownSink) || !known || c.outlet == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
