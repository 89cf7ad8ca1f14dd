package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// Redelivery sends dead letters again, all that were there when it was asked for.
// They stay dead letters until it is nearly their turn, so that there may be any
// number of them, and its place survives restarts.
type Redelivery struct {
	// ID is "rdl_…".
	ID string `json:"id"`
	// Source is the stream whose dead letters are meant, From and To bound when
	// they were given up; zero means all.
	Source store.Source `json:"source,omitzero"`
	From   time.Time    `json:"from,omitzero"`
	To     time.Time    `json:"to,omitzero"`
	// After is the last letter that was taken, Until the last one to take.
	After string `json:"after,omitempty"`
	Until string `json:"until"`
	// Every is how far they are apart, and Due when the next may be sent.
	Every time.Duration `json:"every,omitempty"`
	Due   time.Time     `json:"due"`
	// Total is how many there were, and Taken how many were parked again.
	Total int `json:"total"`
	Taken int `json:"taken"`
	// At is when it was asked for.
	At time.Time `json:"at"`
}

// which selects what it has not taken yet.
func (r *Redelivery) which(connectionID string) store.DeadEvents {
	return store.DeadEvents{ConnectionID: connectionID, Source: r.Source, From: r.From, To: r.To, After: r.After, OldestFirst: true}
}

const (
	// stateRedelivery is the prefix of the states of redeliveries.
	stateRedelivery = "delivery/redelivery/"
	// RedeliveryPrefix begins the ids of redeliveries.
	RedeliveryPrefix = "rdl_"
	// maxRedeliveries is how many of a sink wait at once. They are carried out one
	// after the other.
	maxRedeliveries = 8
	// maxRaised is how many letters a sink holds at once that were taken back, and
	// raisedBytes of how many bytes. One is always taken.
	maxRaised   = 500
	raisedBytes = 8 << 20
	// raiseAhead is how long before its turn a letter is taken back.
	raiseAhead = 10 * time.Second
)

// RedeliverAll sends the dead letters of a sink again that which selects and that
// nobody has settled, the oldest first, one every so often, and says how many they
// are. id names the redelivery, and begins with [RedeliveryPrefix]; one that is
// known already is not begun anew. Those that fail once more are left alone.
func (e *Engine) RedeliverAll(ctx context.Context, connectionID, id string, which store.DeadEvents, every time.Duration) (int, error) {
	which = store.DeadEvents{ConnectionID: connectionID, Source: which.Source, From: which.From, To: which.To}
	newest, err := e.config.Store.DeadEvents(ctx, which, 1)
	if err != nil {
		return 0, fmt.Errorf("redeliver: %w", err)
	}
	total, err := e.config.Store.CountDeadEvents(ctx, which)
	if err != nil {
		return 0, fmt.Errorf("redeliver: %w", err)
	}
	err = e.change(ctx, connectionID, func(s *runner) error {
		if i := slices.IndexFunc(s.redeliveries, func(known *Redelivery) bool { return known.ID == id }); i >= 0 {
			total = s.redeliveries[i].Total
			return nil
		}
		if len(newest) == 0 {
			return nil
		}
		if len(s.redeliveries) >= maxRedeliveries {
			return fmt.Errorf("redeliver: %w: %d redeliveries are going on, which is the limit; cancel one or wait", ErrState, maxRedeliveries)
		}
		now := time.Now().UTC()
		r := &Redelivery{
			ID: id, Source: which.Source, From: which.From, To: which.To, Until: newest[0].ID, Every: every, Due: now, Total: total, At: now,
		}
		s.redeliveries = append(s.redeliveries, r)
		s.keep(stateRedelivery+r.ID, r)
		return nil
	})
	return total, err
}

// CancelRedelivery ends a redelivery. What was parked again is sent, the rest
// stays dead letters.
func (e *Engine) CancelRedelivery(ctx context.Context, connectionID, id string) error {
	return e.change(ctx, connectionID, func(s *runner) error {
		i := slices.IndexFunc(s.redeliveries, func(r *Redelivery) bool { return r.ID == id })
		if i < 0 {
			return fmt.Errorf("redelivery %s: %w: it is not going on", id, store.ErrNotFound)
		}
		s.endRedelivery(s.redeliveries[i])
		return nil
	})
}

// endRedelivery drops a redelivery that is done or canceled.
func (s *runner) endRedelivery(r *Redelivery) {
	s.redeliveries = slices.DeleteFunc(s.redeliveries, func(one *Redelivery) bool { return one == r })
	s.keep(stateRedelivery+r.ID, nil)
	s.log.Info("redelivery is done", "redelivery", r.ID, "taken", r.Taken, "of", r.Total)
}

// loadRedelivery reads a redelivery that a process before has begun.
func (s *runner) loadRedelivery(value []byte) error {
	r := &Redelivery{}
	if err := json.Unmarshal(value, r); err != nil {
		return fmt.Errorf("decode a redelivery: %w", err)
	}
	// After a step of the clock the next one waits no longer than it would have.
	if latest := time.Now().Add(r.Every); r.Due.After(latest) {
		r.Due = latest
	}
	s.redeliveries = append(s.redeliveries, r)
	slices.SortFunc(s.redeliveries, func(a, b *Redelivery) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func isRedelivery(name string) bool { return strings.HasPrefix(name, stateRedelivery) }

// raiseDue is when the next letters are to be taken back, zero for never: before
// their turn, when there is room.
func (s *runner) raiseDue() time.Time {
	if len(s.redeliveries) == 0 || s.raising || s.parked.len() >= maxParked || s.parked.copies >= maxRaised/2 || s.parked.bytes >= raisedBytes/2 {
		return time.Time{}
	}
	return latest(s.redeliveries[0].Due.Add(-raiseAhead), s.raiseAgain)
}

// raise takes back the dead letters whose turn is near.
func (s *runner) raise(now time.Time) {
	if due := s.raiseDue(); due.IsZero() || due.After(now) {
		return
	}
	r := *s.redeliveries[0]
	most := min(maxRaised-s.parked.copies, maxParked-s.parked.len())
	if r.Every > 0 {
		most = min(most, 1+int(now.Add(raiseAhead).Sub(latest(r.Due, now))/r.Every))
	}
	room := raisedBytes - s.parked.bytes
	s.raising = true
	s.aside(func() {
		page, err := s.store.DeadEvents(s.reading, r.which(s.ConnectionID), most)
		end := len(page) < most
		if i := slices.IndexFunc(page, func(one store.DeadEvent) bool { return one.ID > r.Until }); err == nil && i >= 0 {
			page, end = page[:i], true
		}
		var letters []raised
		for i := 0; err == nil && i < len(page); i++ {
			if letters, err = s.readLetter(letters, page[i].ID); err == nil {
				r.After, r.Taken = page[i].ID, r.Taken+1
			}
			if n := len(letters); n > 0 {
				room -= len(letters[n-1].Event)
			}
			if room <= 0 && i < len(page)-1 {
				end = false
				break
			}
		}
		s.post(func() { s.raised(&r, letters, end && err == nil, err) })
	})
}

// readLetter appends a dead letter, unless somebody has settled or erased it since
// it was listed.
func (s *runner) readLetter(letters []raised, id string) ([]raised, error) {
	letter, err := s.store.DeadEvent(s.reading, s.ConnectionID, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (letter.Discarded || len(letter.Event) == 0):
		return letters, nil
	case err != nil:
		return letters, err
	}
	event, err := DecodeEvent(letter.Event)
	if err != nil {
		// It stays where it is, and holds no other.
		s.log.Error("a dead letter cannot be read", "letter", id, "err", err)
		return letters, nil
	}
	return append(letters, raised{letter, event.Subject}), nil
}

// raised parks what raise has brought, and says how far the redelivery is, in one
// commit.
func (s *runner) raised(r *Redelivery, letters []raised, end bool, err error) {
	s.raising = false
	at := slices.IndexFunc(s.redeliveries, func(one *Redelivery) bool { return one.ID == r.ID })
	switch {
	case at < 0:
		return // it was canceled
	case s.reading.Err() != nil:
		return
	case err != nil:
		s.log.Error("read dead letters to send again", "err", err)
		s.raiseAgain = time.Now().Add(readAgain)
	}
	r.Due = latest(r.Due, time.Now())
	r.Due = r.Due.Add(time.Duration(s.parkAgain(letters, r.Due, r.Every)) * r.Every)
	*s.redeliveries[at] = *r
	s.committed = time.Time{} // who looks at the dead letters sees it soon
	if end {
		s.endRedelivery(s.redeliveries[at])
		return
	}
	s.keep(stateRedelivery+r.ID, *r)
}

// parkAgain parks dead letters in the order that their events had, due one after
// the other, and returns how many it has parked.
func (s *runner) parkAgain(letters []raised, due time.Time, every time.Duration) int {
	slices.SortStableFunc(letters, func(a, b raised) int {
		return cmp.Or(cmp.Compare(a.Position.ConnectionID, b.Position.ConnectionID), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Sequence, b.Sequence))
	})
	now, count := time.Now(), 0
	for i := range letters {
		letter := &letters[i]
		s.pending.Raise = append(s.pending.Raise, letter.ID)
		if s.parked.at[letter.Position] != nil {
			continue // raised twice
		}
		key := letter.key
		if s.Order == sink.Ordered {
			key = wholeStream
		}
		p := &parkedEntry{key: key, ParkedEvent: store.ParkedEvent{
			Position: letter.Position, ParkedAt: now, NextAttemptAt: due.Add(time.Duration(count) * every),
			LastError: letter.Reason, Status: letter.Status, Event: letter.Event,
		}}
		s.parked.add(p)
		s.parkRow(p.ParkedEvent)
		count++
	}
	return count
}
