package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/store"
)

// A backfill reads a range of the past beside the live polls of its stream. The
// range is split into windows, each read from the beginning of its pages. Its
// checkpoint has a lane of its own, so the live cursor never moves; what the
// live polls have recorded is not recorded again, because keys are the stream's.
// What is known of it is one state of the connection, written in the same commit
// as each page, so that the next process goes on where this one ended.

// BackfillState is how a backfill is doing.
type BackfillState string

// States of a backfill.
const (
	// BackfillRunning backfills are read, or wait for their turn.
	BackfillRunning BackfillState = "running"
	// BackfillDone backfills have read their whole range.
	BackfillDone BackfillState = "done"
	// BackfillFailed backfills met what trying again does not mend, and wait
	// until they are resumed.
	BackfillFailed BackfillState = "failed"
	// BackfillCanceled backfills were ended by an operator, and may be resumed.
	BackfillCanceled BackfillState = "canceled"
)

// BackfillSpec says what a backfill reads.
type BackfillSpec struct {
	// From and To bound the range, half-open. Both are required.
	From, To time.Time
	// Window is the length of the parts that the range is split into. Default a
	// day, or what makes [MaxWindows] of them.
	Window time.Duration
	// Rate bounds the pages that are read; the zero value does not.
	Rate budget.Rate
}

const (
	// MaxWindows bounds the windows of a backfill.
	MaxWindows = 10_000
	// MaxBackfills bounds the backfills of a stream that are not over.
	MaxBackfills = 16
	// keptBackfills is how many of a stream that are over are still listed.
	keptBackfills = 20

	defaultWindow = 24 * time.Hour
	minWindow     = time.Second
	backfillState = "backfill/"
)

// Errors of backfills.
var (
	// ErrBackfillSpec says that a backfill cannot be made as it was asked for.
	ErrBackfillSpec = errors.New("backfill is not valid")
	// ErrOverlap says that a backfill that is not over reads part of the range.
	ErrOverlap = errors.New("ranges of backfills overlap")
	// ErrUnknownBackfill says that there is no backfill with such an id.
	ErrUnknownBackfill = errors.New("no such backfill")
	// ErrBackfillOver says that a backfill has read its whole range.
	ErrBackfillOver = errors.New("backfill is done; start another one to read the range again")
	// ErrTooManyBackfills says that a stream has as many as it may have.
	ErrTooManyBackfills = fmt.Errorf("stream has %d backfills that are not over; cancel one or wait", MaxBackfills)
)

func (s BackfillSpec) withDefaults() BackfillSpec {
	// What the store keeps.
	s.From, s.To = s.From.UTC().Truncate(time.Microsecond), s.To.UTC().Truncate(time.Microsecond)
	if s.Window == 0 {
		s.Window = max(defaultWindow, s.To.Sub(s.From)/MaxWindows+time.Second).Truncate(time.Second)
	}
	return s
}

// Check returns why no backfill can be made of it, as [ErrBackfillSpec], or nil.
func (s BackfillSpec) Check() error { return s.withDefaults().validate() }

func (s BackfillSpec) validate() error {
	var wrong []string
	add := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	if s.From.IsZero() || s.To.IsZero() {
		add("from and to are required")
	} else if !s.From.Before(s.To) {
		add("to (%s) is not after from (%s)", s.To.Format(time.RFC3339), s.From.Format(time.RFC3339))
	} else if s.Window > 0 && s.To.Sub(s.From)/s.Window >= MaxWindows {
		add("the range makes more than %d windows of %s; choose a longer window", MaxWindows, s.Window)
	}
	if s.Window < minWindow {
		add("window %s is shorter than %s", s.Window, minWindow)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrBackfillSpec, strings.Join(wrong, "; "))
	}
	return nil
}

// Backfill is a backfill and what it has done.
type Backfill struct {
	ID           string        `json:"id"`
	ConnectionID string        `json:"connection_id,omitempty"`
	Stream       string        `json:"stream"`
	From         time.Time     `json:"from"`
	To           time.Time     `json:"to"`
	Window       time.Duration `json:"window"`
	Rate         budget.Rate   `json:"rate,omitzero"`
	State        BackfillState `json:"state"`
	CreatedAt    time.Time     `json:"created_at"`
	FinishedAt   time.Time     `json:"finished_at,omitzero"`
	// DoneTo is the end of the last window that was read completely, From before.
	DoneTo time.Time `json:"done_to"`
	// Pages, Events and Duplicates count what was committed. When a process dies
	// they may miss its last page; the stream's own counts do not.
	Pages      int64 `json:"pages"`
	Events     int64 `json:"events"`
	Duplicates int64 `json:"duplicates"`
	// Error and ErrorClass are those of the last failure since a page, RetryAt is
	// when it is tried again.
	Error      string    `json:"error,omitempty"`
	ErrorClass string    `json:"error_class,omitempty"`
	Failures   int       `json:"failures,omitempty"`
	RetryAt    time.Time `json:"retry_at,omitzero"`
	// RunID is its last run.
	RunID string `json:"run_id,omitempty"`
	// Paused says that it waits because its stream is paused, and Remaining is
	// how long the rest will take at the pace of this process, 0 if nobody
	// knows. Neither is stored, as the connection's id is not: its rows say it.
	Paused    bool          `json:"paused,omitempty"`
	Remaining time.Duration `json:"remaining,omitempty"`
}

// Progress is the part of the range whose windows were read, from 0 to 1.
func (b Backfill) Progress() float64 {
	if b.State == BackfillDone || !b.From.Before(b.To) {
		return 1
	}
	return float64(b.DoneTo.Sub(b.From)) / float64(b.To.Sub(b.From))
}

func (b Backfill) over() bool { return b.State == BackfillDone || b.State == BackfillCanceled }

func (b Backfill) overlaps(from, to time.Time) bool { return b.From.Before(to) && from.Before(b.To) }

// stateOf is b as it is stored.
func (b Backfill) stateOf() store.StateWrite {
	b.ConnectionID, b.Paused, b.Remaining = "", false, 0
	value, err := json.Marshal(b)
	if err != nil { // there is nothing in it that JSON cannot say
		panic(err)
	}
	return store.StateWrite{Name: backfillState + b.ID, Value: value}
}

// ReadBackfills decodes the backfills among the states of connections, oldest
// first. What cannot be read was written by another version, and is left out.
func ReadBackfills(states []store.State) []Backfill {
	var out []Backfill
	for _, s := range states {
		id, ok := strings.CutPrefix(s.Name, backfillState)
		var b Backfill
		if !ok || json.Unmarshal(s.Value, &b) != nil || b.ID != id || !b.From.Before(b.To) || b.Window < minWindow {
			continue
		}
		b.ConnectionID, b.Paused, b.Remaining = s.ConnectionID, false, 0
		out = append(out, b)
	}
	slices.SortFunc(out, func(x, y Backfill) int { return strings.Compare(x.ID, y.ID) })
	return out
}

// BackfillStates is the prefix of the names of backfills among the states.
const BackfillStates = backfillState

// Backfill starts to read a range of a stream beside its live polls. Errors:
// [ErrBackfillSpec], [ErrOverlap], [ErrTooManyBackfills], [ErrUnknownStream],
// [ErrStopped], or the store's.
func (s *Scheduler) Backfill(ctx context.Context, connectionID, key string, spec BackfillSpec) (Backfill, error) {
	spec = spec.withDefaults()
	if err := spec.validate(); err != nil {
		return Backfill{}, err
	}
	now := s.clock.wall()
	made := Backfill{
		ID: store.NewID("bfl_", now), ConnectionID: connectionID, Stream: key, From: spec.From, To: spec.To, Window: spec.Window,
		Rate: spec.Rate, State: BackfillRunning, CreatedAt: now, DoneTo: spec.From,
	}
	s.mu.Lock()
	owner, err := s.find(connectionID, key)
	if err == nil {
		err = s.roomFor(owner, made)
	}
	if err != nil {
		s.mu.Unlock()
		return Backfill{}, err
	}
	e := newBackfill(owner, made)
	owner.backfills[made.ID] = e // nobody else may start an overlapping one meanwhile
	stale := staleBackfills(owner)
	s.mu.Unlock()

	u := s.unit(e)
	u.State = append(stale, made.stateOf())
	_, err = s.commit(ctx, u)
	if err != nil && s.recorded(ctx, connectionID, made.ID) {
		err = nil // it was committed all the same, and must not wait for the next start
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(owner.backfills, made.ID)
		return Backfill{}, fmt.Errorf("record backfill of stream %q: %w", key, err)
	}
	for _, w := range stale {
		delete(owner.backfills, strings.TrimPrefix(w.Name, backfillState))
	}
	e.next = appointment{due: s.clock.wall(), trigger: triggerBackfill}
	s.settle(e)
	return s.shown(e), nil
}

// recorded reports whether the store has a backfill whose commit was not answered.
func (s *Scheduler) recorded(ctx context.Context, connectionID, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.StoreTimeout)
	defer cancel()
	states, err := s.store.States(ctx, connectionID, backfillState+id)
	return err == nil && len(states) > 0
}

// roomFor says why a backfill cannot go on beside the others of its stream. The
// lock is held.
func (s *Scheduler) roomFor(owner *stream, b Backfill) error {
	if s.phase == phaseStopping || owner.conn.closing || owner.gone {
		return ErrStopped
	}
	open := 0
	for _, id := range slices.Sorted(maps.Keys(owner.backfills)) {
		other := owner.backfills[id].backfill.record
		if id == b.ID || other.over() {
			continue
		}
		if other.overlaps(b.From, b.To) {
			return fmt.Errorf("%w: %s reads %s to %s and is %s; cancel it, or choose a range outside of it", ErrOverlap,
				other.ID, other.From.Format(time.RFC3339), other.To.Format(time.RFC3339), other.State)
		}
		open++
	}
	if open >= MaxBackfills {
		return ErrTooManyBackfills
	}
	return nil
}

// staleBackfills removes the states of the oldest that are over.
func staleBackfills(owner *stream) []store.StateWrite {
	var over []string
	for id, e := range owner.backfills {
		if e.backfill.record.over() && e.run == nil {
			over = append(over, id)
		}
	}
	slices.Sort(over)
	var writes []store.StateWrite
	for _, id := range over[:max(0, len(over)-keptBackfills)] {
		writes = append(writes, store.StateWrite{Name: backfillState + id})
	}
	return writes
}

// Backfills lists the backfills of a connection, oldest first.
func (s *Scheduler) Backfills(ctx context.Context, connectionID string) ([]Backfill, error) {
	states, err := s.store.States(ctx, connectionID, backfillState)
	if err != nil {
		return nil, fmt.Errorf("list backfills: %w", err)
	}
	list := ReadBackfills(states)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range list {
		if e := s.backfillOf(connectionID, b.ID); e != nil {
			list[i] = s.shown(e)
		}
	}
	return list, nil
}

// backfillOf finds a backfill, or returns nil. The lock is held.
func (s *Scheduler) backfillOf(connectionID, id string) *stream {
	if c := s.connections[connectionID]; c != nil {
		for _, owner := range c.streams {
			if e := owner.backfills[id]; e != nil {
				return e
			}
		}
	}
	return nil
}

// CancelBackfill ends a backfill after the page in flight. It may be resumed.
// Errors: [ErrUnknownBackfill], [ErrBackfillOver], or the store's.
func (s *Scheduler) CancelBackfill(ctx context.Context, connectionID, id string) (Backfill, error) {
	return s.turnBackfill(ctx, connectionID, id, func(e *stream, b *Backfill) error {
		b.State, b.FinishedAt, b.RetryAt = BackfillCanceled, s.clock.wall(), time.Time{}
		return nil
	})
}

// ResumeBackfill has a failed or canceled backfill go on where it was. Errors:
// [ErrUnknownBackfill], [ErrBackfillOver], [ErrOverlap], or the store's.
func (s *Scheduler) ResumeBackfill(ctx context.Context, connectionID, id string) (Backfill, error) {
	return s.turnBackfill(ctx, connectionID, id, func(e *stream, b *Backfill) error {
		if err := s.roomFor(e.owner, *b); err != nil {
			return err
		}
		b.State, b.FinishedAt, b.RetryAt, b.Failures, b.Error, b.ErrorClass = BackfillRunning, time.Time{}, time.Time{}, 0, "", ""
		return nil
	})
}

// turnBackfill changes what an operator decides of a backfill.
func (s *Scheduler) turnBackfill(ctx context.Context, connectionID, id string, change func(*stream, *Backfill) error) (Backfill, error) {
	s.mu.Lock()
	e := s.backfillOf(connectionID, id)
	if e == nil {
		s.mu.Unlock()
		return Backfill{}, fmt.Errorf("%w: %s", ErrUnknownBackfill, id)
	}
	b := e.backfill.record
	err := error(nil)
	if b.State == BackfillDone {
		err = ErrBackfillOver
	} else {
		err = change(e, &b)
	}
	if err != nil {
		s.mu.Unlock()
		return Backfill{}, err
	}
	e.backfill.record = b
	e.next = appointment{due: s.clock.wall(), trigger: triggerBackfill}
	running := e.run != nil
	switch {
	case e.place == placeWaiting && running, e.place == placeWaiting && b.State == BackfillRunning:
		s.waiting.remove(e) // its pace or its retry need not be waited for
		s.enqueue(e)
		s.dispatch()
	case e.place == placeWaiting:
		s.waiting.remove(e)
		e.place = placeParked
	}
	s.mu.Unlock()
	u := s.unit(e)
	u.State = []store.StateWrite{b.stateOf()}
	if _, err := s.commit(ctx, u); err != nil {
		return Backfill{}, fmt.Errorf("record backfill %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.place == placeParked {
		s.settle(e)
	}
	return s.shown(e), nil
}
