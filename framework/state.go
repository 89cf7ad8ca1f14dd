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
}
