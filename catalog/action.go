package catalog

import (
	"fmt"
	"reflect"
	"time"
)

// Bounds of an [ActionSpec].
const (
	// DefaultActionTimeout bounds a run of an action that says nothing else.
	DefaultActionTimeout = 10 * time.Minute
	// MaxActionTimeout is the longest Timeout.
	MaxActionTimeout = 24 * time.Hour
	// DefaultMaxRunning is how many runs of an action that says nothing else go
	// on at a time.
	DefaultMaxRunning = 16
	// LargestMaxRunning is the largest MaxRunning.
	LargestMaxRunning = 1000
)

// Callable is a declared action. Only [Action] makes one.
type Callable interface {
	// Key is the action's name within its connector, for example "reindex".
	Key() string
	// Declaration returns everything that was declared about the action.
	Declaration() ActionDeclaration
	sealedAction()
}

// ActionSpec bounds the runs of an action.
type ActionSpec struct {
	// Timeout is how long one run may take: its context ends then. The default is
	// [DefaultActionTimeout].
	Timeout time.Duration
	// MaxRunning is how many runs of the action go on at a time for one
	// connection, in one process. The default is [DefaultMaxRunning].
	MaxRunning int
}

// ActionDeclaration is what was declared about an action.
type ActionDeclaration struct {
	// Key names the action within its connector: ^[a-z][a-z0-9_]{0,62}$.
	Key  string
	Spec ActionSpec
	// In and Out are the types of its input and output.
	In, Out reflect.Type
}

// TypedAction is a declared action that takes an In and returns an Out.
type TypedAction[In, Out any] struct{ declaration *ActionDeclaration }

// Action declares something that a connection can be asked to do, by a trigger
// or an operator. In is decoded from the JSON or the form that the caller sends,
// with the same struct tags as settings have; Out is encoded as JSON. Call it
// only in a package-level variable, with a constant key and at most one spec.
func Action[In, Out any](key string, spec ...ActionSpec) TypedAction[In, Out] {
	d := &ActionDeclaration{Key: key, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out]()}
	for _, s := range spec {
		d.Spec = s
	}
	return TypedAction[In, Out]{d}
}

// Key returns the action's key, or "" for one that [Action] did not make.
func (a TypedAction[In, Out]) Key() string { return a.Declaration().Key }

// Declaration returns what was declared.
func (a TypedAction[In, Out]) Declaration() ActionDeclaration {
	if a.declaration == nil {
		return ActionDeclaration{}
	}
	return *a.declaration
}

func (TypedAction[In, Out]) sealedAction() {}

// ActionManifest is one action of a [Manifest].
type ActionManifest struct {
	Key         string `json:"key"`
	Description string `json:"description,omitempty"`
	// TimeoutSeconds and MaxRunning are 0 for the defaults.
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
	MaxRunning     int     `json:"max_running,omitempty"`
}

// Timeout is how long one run may take.
func (a ActionManifest) Timeout() time.Duration {
	if a.TimeoutSeconds == 0 {
		return DefaultActionTimeout
	}
	return time.Duration(a.TimeoutSeconds * float64(time.Second))
}

// Limit is how many runs go on at a time.
func (a ActionManifest) Limit() int {
	if a.MaxRunning == 0 {
		return DefaultMaxRunning
	}
	return a.MaxRunning
}

func actionManifest(a Callable) ActionManifest {
	if a == nil {
		return ActionManifest{}
	}
	d := a.Declaration()
	return ActionManifest{Key: d.Key, TimeoutSeconds: d.Spec.Timeout.Seconds(), MaxRunning: d.Spec.MaxRunning}
}

// Action returns the action with the given key.
func (m Manifest) Action(key string) (ActionManifest, bool) {
	for _, a := range m.Actions {
		if a.Key == key {
			return a, true
		}
	}
	return ActionManifest{}, false
}

func (v *validation) actions(all []ActionManifest) {
	seen := map[string]bool{}
	for _, a := range all {
		if !ValidKey(a.Key) {
			v.add("SC102", a.Key, "action key %q does not match %s; use lower_snake_case of 1 to 63 characters", a.Key, KeyPattern)
		}
		if seen[a.Key] {
			v.add("SC103", a.Key, "action key %q is declared twice, and only one can have it; give each action its own key", a.Key)
		}
		seen[a.Key] = true
		for _, problem := range a.problems() {
			v.add("SC118", a.Key, "action %q: %s", a.Key, problem)
		}
	}
}

func (a ActionManifest) problems() (all []string) {
	if a.TimeoutSeconds < 0 || a.Timeout() > MaxActionTimeout {
		all = append(all, fmt.Sprintf("Timeout is %s; it must be from 1ns to %s", a.Timeout(), MaxActionTimeout))
	}
	if a.MaxRunning < 0 || a.MaxRunning > LargestMaxRunning {
		all = append(all, fmt.Sprintf("MaxRunning is %d; it must be from 1 to %d", a.MaxRunning, LargestMaxRunning))
	}
	return all
}

var _ Callable = TypedAction[int, string]{}
