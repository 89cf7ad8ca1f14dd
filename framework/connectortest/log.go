package connectortest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirhq/weir/ingest"
)

// Log keeps emissions in memory by the rules of a store (see package
// framework/store): one event a key, latest keys compared with the entity's
// newest version, late events marked. It is not safe for concurrent use.
type Log struct {
	events   []Event
	known    map[streamKey]bool
	entities map[streamKey]*entity
}

// Event is one recorded emission.
type Event struct {
	ingest.Emission
	// KeyText is the settled idempotency key.
	KeyText string
	// Late says that a newer version of the entity had been recorded before.
	Late bool
}

type streamKey struct{ stream, key string }

type entity struct {
	revision int64
	hash     [16]byte
	time     time.Time
}

// NewLog returns an empty log.
func NewLog() *Log {
	return &Log{known: map[streamKey]bool{}, entities: map[streamKey]*entity{}}
}

// Commit records the emissions of one page or delivery in order and returns how
// many were new and how many had been recorded before. observedAt is the time of
// the emissions that have none.
func (l *Log) Commit(emissions []ingest.Emission, observedAt time.Time) (appended, duplicates int) {
	for _, e := range emissions {
		if e.Time.IsZero() {
			e.Time = observedAt
		}
		if l.record(e) {
			appended++
		} else {
			duplicates++
		}
	}
	return appended, duplicates
}

func (l *Log) record(e ingest.Emission) bool {
	hash := ingest.PayloadHash(e.Operation, e.Payload)
	newest := l.entities[streamKey{e.Stream, e.Key.Entity()}]
	var revision int64
	if newest != nil {
		revision = newest.revision
		if e.Key.Latest() && newest.hash == hash {
			return false
		}
	}
	late := newest != nil && e.Time.Before(newest.time)
	text := e.Key.Text(revision+1, hash)
	if e.Key.Latest() && late {
		// It is no version of its own, and must not take the text of the next.
		text = e.Key.Text(0, hash) + "@" + e.Time.UTC().Format(ingest.TimeFormat)
	}
	if l.known[streamKey{e.Stream, text}] {
		return false
	}
	l.known[streamKey{e.Stream, text}] = true
	l.events = append(l.events, Event{Emission: e, KeyText: text, Late: late})
	if e.Key.Entity() != "" && !late {
		l.entities[streamKey{e.Stream, e.Key.Entity()}] = &entity{revision + 1, hash, e.Time}
	}
	return true
}

// Events returns the recorded events of a stream in order.
func (l *Log) Events(stream string) []Event {
	var events []Event
	for _, e := range l.events {
		if e.Stream == stream {
			events = append(events, e)
		}
	}
	return events
}

// Keys returns "stream key" of every recorded event, sorted.
func (l *Log) Keys() []string {
	keys := make([]string, 0, len(l.events))
	for _, e := range l.events {
		keys = append(keys, e.Stream+" "+e.KeyText)
	}
	slices.Sort(keys)
	return keys
}

// State returns what a receiver of the stream has who keeps the latest state of
// each entity and skips late events: the payload of each entity that is not
// deleted, by its id. Events that belong to no entity are left out.
func (l *Log) State(stream string) map[string]string {
	state := map[string]string{}
	for _, e := range l.Events(stream) {
		switch id := e.Key.Entity(); {
		case id == "" || e.Late:
		case e.Operation == ingest.Deletion:
			delete(state, id)
		default:
			state[id] = string(e.Payload)
		}
	}
	return state
}

// RequireState fails the test unless got, which is a [Log.State], is what the
// provider has. It names the entities that differ.
func RequireState(t testing.TB, provider, got map[string]string) {
	t.Helper()
	var differences []string
	for _, id := range slices.Sorted(maps.Keys(provider)) {
		switch payload, ok := got[id]; {
		case !ok:
			differences = append(differences, fmt.Sprintf("%s is missing", id))
		case payload != provider[id]:
			differences = append(differences, fmt.Sprintf("%s is %.300s, and with the provider %.300s", id, payload, provider[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := provider[id]; !ok {
			differences = append(differences, fmt.Sprintf("%s is gone with the provider", id))
		}
	}
	const shown = 10
	if n := len(differences); n > 0 {
		t.Fatalf("%d of %d entities differ, the first %d: %v", n, len(provider), min(n, shown), differences[:min(n, shown)])
	}
}
