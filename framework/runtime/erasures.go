package runtime

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/weirhq/weir/framework/store"
)

// Erase blanks what is known of an entity.
func (l letters) Erase(ctx context.Context, connectionID, entity string) (store.Erasure, error) {
	return l.runtime.store.Erase(ctx, connectionID, entity)
}

// Erasures lists the records of erasures, oldest first.
func (l letters) Erasures(ctx context.Context, connectionID string) ([]store.Erasure, error) {
	states, err := l.runtime.store.States(ctx, connectionID, store.ErasureStates)
	if err != nil {
		return nil, err
	}
	list := make([]store.Erasure, len(states))
	for i, s := range states {
		if err := json.Unmarshal(s.Value, &list[i]); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.Name, err)
		}
	}
	return list, nil
}
