package groupcommit

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// StateKey names a piece of state.
type StateKey struct{ ConnectionID, Name string }

// StateChange writes a piece of state, or removes it when Value is nil; that it
// is not there is no error.
type StateChange struct {
	StateKey
	Value []byte
	At    time.Time
}

func (p *plan) states(u *store.Unit) {
	for _, w := range u.State {
		key := StateKey{u.ConnectionID, w.Name}
		p.state[key] = &StateChange{key, w.Value, u.At}
	}
}

func (p *plan) finishStates() {
	for _, change := range p.state {
		p.changes.States = append(p.changes.States, *change)
	}
	slices.SortFunc(p.changes.States, func(a, b StateChange) int {
		return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.Name, b.Name))
	})
}

func checkState(f *faults, u *store.Unit) {
	for _, w := range u.State {
		f.name("name of a state", w.Name)
		f.size("state "+cut(w.Name, MaxNameBytes), len(w.Value), store.MaxStateBytes)
	}
}
