package modeltest

import (
	"maps"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// memory is what must be in the store: of each connection by its id, what was
// committed and which webhooks. It is copied with a backup and comes back with it.
type memory struct {
	ledgers map[string]*ledger
	known   map[string]map[string]bool
}

func newMemory() *memory {
	return &memory{ledgers: map[string]*ledger{}, known: map[string]map[string]bool{}}
}

func (m *memory) clone() *memory {
	c := newMemory()
	for id, l := range m.ledgers {
		c.ledgers[id] = l.clone()
	}
	for id, k := range m.known {
		c.known[id] = maps.Clone(k)
	}
	return c
}

func (m *memory) ledger(connection string) *ledger {
	if m.ledgers[connection] == nil {
		m.ledgers[connection] = &ledger{map[[2]string]bool{}, map[[2]string]newest{}, map[string]int{}}
	}
	return m.ledgers[connection]
}

// webhooks are the ids of the webhooks that are in the store, handled or not.
func (m *memory) webhooks(connection string) map[string]bool {
	if m.known[connection] == nil {
		m.known[connection] = map[string]bool{}
	}
	return m.known[connection]
}

// ledger is the rule of the log, written down once more in its simplest form:
// a key counts once, and of an entity the newest version counts.
type ledger struct {
	keys     map[[2]string]bool   // of stream and key
	entities map[[2]string]newest // of stream and entity
	// order is when a version key was first recorded: a count of keys.
	order map[string]int
}

type newest struct {
	at      time.Time
	payload string
	deleted bool
}

func (l *ledger) clone() *ledger {
	return &ledger{maps.Clone(l.keys), maps.Clone(l.entities), maps.Clone(l.order)}
}

func (l *ledger) note(u store.Unit, receipt store.Receipt) {
	if receipt.AlreadyCommitted || receipt.DuplicateDelivery {
		return
	}
	for _, e := range u.Emissions {
		entity := [2]string{e.Stream, e.Key.Entity()}
		have, found := l.entities[entity]
		next := newest{e.Time.UTC().Truncate(time.Microsecond), string(e.Payload), e.Operation == ingest.Deletion}
		if e.Key.Latest() {
			if found && have.payload == next.payload && have.deleted == next.deleted {
				continue
			}
		} else {
			text := e.Key.Text(0, [16]byte{})
			key := [2]string{e.Stream, text}
			if l.keys[key] {
				continue
			}
			l.keys[key] = true
			l.order[text] = len(l.keys)
		}
		if e.Key.Entity() == "" || found && next.at.Before(have.at) {
			continue
		}
		l.entities[entity] = next
	}
}

// state is what a receiver of the stream must have.
func (l *ledger) state(stream string) map[string]string {
	state := map[string]string{}
	for key, n := range l.entities {
		if key[0] == stream && !n.deleted {
			state[key[1]] = n.payload
		}
	}
	return state
}
