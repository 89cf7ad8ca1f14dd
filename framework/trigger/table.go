package trigger

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/webhook"
)

// Target is one trigger.
type Target struct {
	Project, Connection, ConnectionID string
	// Path and Method are the trigger's own.
	Path, Method string
	// Verifier decides who may call; nil refuses everybody.
	Verifier *webhook.Verifier
	// Prepare says what a request starts. An error that wraps framework.ErrInput is
	// the caller's.
	Prepare func(ctx context.Context, r Request) (action.Call, error)
}

// methods are those that callers may use.
func (t Target) methods() []string {
	if t.Method == AnyMethod {
		return Methods()
	}
	return []string{t.Method}
}

// Request is a request that was verified.
type Request struct {
	Input framework.ActionInput
	// Key names what the request brings, for ingest: the sender's id, else a hash.
	Key string
}

// Table finds triggers. The zero value has none.
type Table struct {
	view atomic.Pointer[map[[2]string][]Target]
}

// Replace replaces all triggers.
func (t *Table) Replace(targets []Target) {
	view := map[[2]string][]Target{}
	for _, target := range targets {
		key := [2]string{target.Project, target.Path}
		view[key] = append(view[key], target)
	}
	t.view.Store(&view)
}

// Lookup returns the trigger of a path and a method; allowed lists the methods that
// triggers of the path take, and is empty for a path that nobody has.
func (t *Table) Lookup(project, path, method string) (target Target, allowed []string) {
	view := t.view.Load()
	if view == nil {
		return Target{}, nil
	}
	for _, one := range (*view)[[2]string{project, path}] {
		if slices.Contains(one.methods(), method) {
			return one, []string{method}
		}
		allowed = append(allowed, one.methods()...)
	}
	slices.Sort(allowed)
	return Target{}, allowed
}

// Project reports whether a project has a trigger.
func (t *Table) Project(name string) bool {
	view := t.view.Load()
	if view == nil {
		return false
	}
	for key := range *view {
		if key[0] == name {
			return true
		}
	}
	return false
}
