package framework

import "context"

// State keeps small values of one connection across restarts, beside its
// checkpoints: a rotated refresh token, for example. Names are
// "<whose>/<what>"; a value has at most 64 KiB. It is not part of any page: what
// is saved stays, whatever becomes of the page.
type State interface {
	// Load returns the value of a name, or nil if there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save replaces the value of a name, durably.
	Save(ctx context.Context, name string, value []byte) error
	// Swap replaces the value of a name, durably, if it is still old, and reports
	// whether it did; nil stands for none. Save is for the one process that has the
	// work of the connection; Swap is for whatever process needs the value, such as
	// a token that a trigger uses on any node.
	Swap(ctx context.Context, name string, old, value []byte) (swapped bool, err error)
}
