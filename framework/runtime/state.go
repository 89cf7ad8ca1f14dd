package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// connectionState keeps small values of one connection in the store, fenced by
// the lease of the connection's shard: only the process that works on the
// connection may change them.
type connectionState struct {
	store        store.Store
	connectionID string
}

var _ framework.State = connectionState{}

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
