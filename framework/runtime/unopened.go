package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
)

// A revision that opens at one node may not open at another: a file is not there,
// a name is not set, a provider cannot be reached. The node that works on the
// connection writes down that it does not, so that every node can say so; and what
// does not open is tried again, as the reason may be gone.

const (
	// unopenedState is the state of a connection whose deployed revision does not
	// open where it is worked on.
	unopenedState = "runtime/unopened"
	// reopenEvery is how often it is tried again, reopenMost how many of them, and
	// reopenWithin how long that may take: changes wait for it.
	reopenEvery  = 30 * time.Second
	reopenMost   = 16
	reopenWithin = 10 * time.Second
	// mostReason bounds the reason that is written down, so that it is one that a
	// store takes however JSON spells it.
	mostReason = 4 << 10
)

// unopened is the value of unopenedState.
type unopened struct {
	// Revision does not open, GoesOn is the one that runs instead, 0 for none.
	Revision int64  `json:"revision"`
	GoesOn   int64  `json:"goes_on"`
	Reason   string `json:"reason"`
}

// failure is why a revision does not run here.
type failure struct {
	revision int64
	reason   string
}

// reopen tries again what does not open here.
func (r *Runtime) reopen(ctx context.Context, ids ...string) error {
	ctx, cancel := context.WithTimeout(ctx, reopenWithin)
	defer cancel()
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	failed := r.set.Load().failed
	n := 0
	for id := range failed { // in no order, so that all of them have their turn
		if len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		if n++; n > reopenMost {
			break
		}
		r.versions[id] = -1 // none that a connection has
	}
	if n == 0 {
		return nil
	}
	err := r.refresh(ctx, false)
	r.behind.Store(err != nil)
	return err
}

// report writes down which revisions do not open at this node, of the connections
// that it works on.
func (r *Runtime) report(ctx context.Context) error {
	if _, shared := r.store.(store.Shared); !shared {
		return nil
	}
	kept, err := r.store.States(ctx, "", unopenedState)
	if err != nil {
		return fmt.Errorf("read what does not open: %w", err)
	}
	known := make(map[string]string, len(kept))
	for _, s := range kept {
		known[s.ConnectionID] = string(s.Value)
	}
	set := r.set.Load()
	write := func(id string, value []byte) error {
		if _, mine := r.store.Epoch(id); !mine {
			return nil
		}
		return connectionState{r.store, id}.Save(ctx, unopenedState, value)
	}
	var errs []error // of one connection, which is no reason to be silent about the others
	for id, f := range set.failed {
		value, err := f.stored(set.byID[id])
		if err == nil && known[id] != string(value) {
			err = write(id, value)
		}
		errs = append(errs, err)
		delete(known, id)
	}
	for id := range known {
		errs = append(errs, write(id, nil))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write down what does not open: %w", err)
	}
	return nil
}

// stored is the value of unopenedState for a connection, of which another revision
// may go on. The reason is an author's: it may have any length.
func (f failure) stored(goesOn *connection) ([]byte, error) {
	u := unopened{Revision: f.revision, Reason: f.reason}
	if len(u.Reason) > mostReason {
		u.Reason = strings.ToValidUTF8(u.Reason[:mostReason], "") + " …"
	}
	if goesOn != nil {
		u.GoesOn = goesOn.revision
	}
	return json.Marshal(u)
}

// openedElsewhere adds what the nodes say that work on connections which this one
// does not work on.
func (l liveDesk) openedElsewhere(ctx context.Context, list []store.Configured, out []resource.Observation) {
	at := map[string]int{}
	var ids []string
	for i, c := range list {
		if l.runtime.elsewhere(c.ID) != nil {
			at[c.ID], ids = i, append(ids, c.ID)
			if out[i].Failed {
				out[i].Reason = "at this node, which does not work on it: " + out[i].Reason
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	states, err := l.runtime.store.StatesOf(ctx, ids, unopenedState)
	if err != nil {
		l.runtime.log.WarnContext(ctx, "what other nodes say of connections cannot be read; they are shown as seen here", "err", err)
		return
	}
	for _, s := range states {
		var u unopened
		i := at[s.ConnectionID]
		if json.Unmarshal(s.Value, &u) == nil && u.Revision == list[i].Deployed {
			out[i] = resource.Observation{Failed: true, Running: u.GoesOn, Reason: "at the node that works on it: " + u.Reason}
		}
	}
}
