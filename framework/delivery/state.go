package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Condition is what a sink is doing.
type Condition string

// Conditions of a sink.
const (
	StateRunning Condition = "running"
	// StatePaused waits until it is resumed.
	StatePaused Condition = "paused"
	// StateStopped is StatePaused; offsets may be changed.
	StateStopped Condition = "stopped"
	// StateFailed stopped by itself with a reason; the offset stays on the event
	// that failed, and a restart tries it again.
	StateFailed Condition = "failed"
	// StateDisabled was ended by the receiver, or failed for too long.
	StateDisabled Condition = "disabled"
)

// State is the condition of a sink, kept in the store.
type State struct {
	Condition Condition `json:"state"`
	// Reason says why a sink stopped by itself.
	Reason string `json:"reason,omitempty"`
	// Since is when it took the condition.
	Since time.Time `json:"since"`
}

// Working reports whether events are delivered.
func (s State) Working() bool { return s.Condition == StateRunning }

// Names of a sink's state in the store.
const (
	// StateName is where the [State] is.
	StateName    = "delivery/state"
	stateName    = StateName
	stateFailing = "delivery/failing"
	stateStarted = "delivery/started"
	stateBreaker = "delivery/breaker"
)

// Settled says what the stored state of a sink is to be before it starts, when an
// operator wants it to be paused or stopped, or at work for "". A sink that has
// stopped by itself stays so, and change is false where nothing is to be written.
func Settled(stored []byte, want Condition, now time.Time) (value []byte, change bool, err error) {
	s := State{Condition: StateRunning}
	if stored != nil {
		if err := json.Unmarshal(stored, &s); err != nil {
			return nil, false, fmt.Errorf("decode %s: %w", StateName, err)
		}
	}
	waits := s.Condition == StatePaused || s.Condition == StateStopped
	switch {
	case want == s.Condition, want == "" && !waits:
		return nil, false, nil
	case want == "":
		want = StateRunning
	}
	value, err = json.Marshal(State{Condition: want, Since: now.UTC()})
	return value, true, err
}

// StatePrefix begins the names of the states of sinks.
const StatePrefix = "delivery/"

// Kept is what the store keeps of what a sink is doing.
type Kept struct {
	State State
	// FailingSince is when the endpoint began to fail, and BreakerUntil when the
	// next probe of it may leave; zero while it answers well.
	FailingSince, BreakerUntil time.Time
}

// ReadStates reads what sinks are doing out of their states, by connection. A
// sink that is left out runs.
func ReadStates(states []store.State) map[string]Kept {
	kept := map[string]Kept{}
	for _, one := range states {
		k, ok := kept[one.ConnectionID]
		if !ok {
			k.State.Condition = StateRunning
		}
		var opened savedBreaker
		into := map[string]any{StateName: &k.State, stateFailing: &k.FailingSince, stateBreaker: &opened}[one.Name]
		if into == nil || json.Unmarshal(one.Value, into) != nil {
			continue
		}
		if one.Name == stateBreaker {
			k.BreakerUntil = opened.Until
		}
		kept[one.ConnectionID] = k
	}
	return kept
}

// loadState reads what the sink was doing.
func (s *runner) loadState(ctx context.Context) error {
	states, err := s.store.States(ctx, s.ConnectionID, StatePrefix)
	if err != nil {
		return err
	}
	s.state = State{Condition: StateRunning}
	var opened savedBreaker
	for _, one := range states {
		var into any
		switch one.Name {
		case stateName:
			into = &s.state
		case stateFailing:
			into = &s.failingFrom
		case stateStarted:
			into = &s.started
		case stateBreaker:
			into = &opened
		default:
			if isReplay(one.Name) {
				s.begun = append(s.begun, one.Value)
			}
			if isRedelivery(one.Name) {
				if err := s.loadRedelivery(one.Value); err != nil {
					return err
				}
			}
			continue
		}
		if err := json.Unmarshal(one.Value, into); err != nil {
			return fmt.Errorf("decode %s: %w", one.Name, err)
		}
	}
	if opened.Failures > 0 {
		s.breaker = opened.restored(time.Now())
	}
	return nil
}

// stopped ends the work with a reason; the sink stays to be restarted.
func (s *runner) stopped(c Condition, reason string) {
	if !s.state.Working() {
		return
	}
	s.log.Error("sink stops", "state", c, "reason", reason)
	s.become(c, reason)
	s.notify(map[Condition]Happening{StateFailed: SinkFailed, StateDisabled: SinkDisabled}[c], reason)
}

func (s *runner) become(c Condition, reason string) {
	if c == StateRunning && (s.state.Condition == StateFailed || s.state.Condition == StateDisabled) {
		s.notify(SinkRecovered, "the sink was started again")
	}
	s.state = State{c, reason, time.Now().UTC()}
	s.keep(stateName, s.state)
	if c == StateRunning {
		s.breaker.succeeded()
		s.keep(stateBreaker, nil)
		s.failingFrom = time.Time{}
		s.keep(stateFailing, nil)
		for _, l := range s.lanes {
			l.fresh = true
			for _, w := range l.redo {
				w.notBefore = time.Time{}
			}
		}
	}
	s.engine.config.Changed(s.ConnectionID)
}

// StateWrites are the states that the store has of a sink that does what s says.
func StateWrites(connectionID string, s Snapshot) []store.State {
	var out []store.State
	add := func(name string, value any) {
		encoded, _ := json.Marshal(value) // there is nothing in it that JSON cannot say
		out = append(out, store.State{ConnectionID: connectionID, Name: name, Value: encoded})
	}
	add(StateName, s.State)
	if !s.FailingSince.IsZero() {
		add(stateFailing, s.FailingSince)
	}
	if !s.BreakerUntil.IsZero() {
		add(stateBreaker, savedBreaker{Failures: breakerOpens, Until: s.BreakerUntil, Wait: breakerBase})
	}
	return out
}
