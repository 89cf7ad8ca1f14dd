package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// connectionState keeps small values of one connection in the store. What is saved
// is fenced by the lease of the connection's shard: only the process that works on
// the connection may. What is swapped is not.
type connectionState struct {
	store        store.Store
	connectionID string
}

var _ framework.State = connectionState{}

// stateOf is the state of a connection, nil for one that has no id yet.
func (r *Runtime) stateOf(connectionID string) framework.State {
	if connectionID == "" {
		return nil
	}
	return connectionState{r.store, connectionID}
}

// Load returns the value of a name, or nil.
func (s connectionState) Load(ctx context.Context, name string) ([]byte, error) {
	states, err := s.store.States(ctx, s.connectionID, name)
	if err != nil {
		return nil, err
	}
	for _, state := range states {
		if state.Name == name {
			return state.Value, nil
		}
	}
	return nil, nil
}

// Save replaces the value of a name.
func (s connectionState) Save(ctx context.Context, name string, value []byte) error {
	epoch, held := s.store.Epoch(s.connectionID)
	if !held {
		return fmt.Errorf("save %s: another process works on the connection: %w", name, store.ErrFenced)
	}
	_, err := s.store.Commit(ctx, store.Unit{
		ID: store.NewCommitID(), ConnectionID: s.connectionID, Epoch: epoch, At: time.Now(),
		State: []store.StateWrite{{Name: name, Value: value}},
	})
	return err
}

// Swap replaces the value of a name if it is still old.
func (s connectionState) Swap(ctx context.Context, name string, old, value []byte) (bool, error) {
	return s.store.SwapState(ctx, s.connectionID, name, old, value)
}
