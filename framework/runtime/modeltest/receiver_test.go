package modeltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/ingest"
)

// receiver keeps the latest state of every entity, as the log tells it.
type receiver struct {
	connection string
	log        map[string][]ingest.Event
	keys       map[string]map[string]bool
	state      map[string]map[string]string
	// newest is the payload of each entity's last event that was not late.
	newest map[[2]string]string
	// identities outlive a reset: an id names one event, also in a restored store.
	identities map[string]identity
}

type identity struct{ connection, stream, key, payload string }

func newReceiver() *receiver { return &receiver{identities: map[string]identity{}} }

// reset forgets everything, to read a log from its start.
func (r *receiver) reset(connection string) {
	r.connection = connection
	r.log, r.keys = map[string][]ingest.Event{}, map[string]map[string]bool{}
	r.state, r.newest = map[string]map[string]string{}, map[[2]string]string{}
}

// read takes at most limit events and says how many there were.
func (r *receiver) read(ctx context.Context, log ingest.Log, stream string, limit int) (int, error) {
	after := int64(len(r.log[stream]))
	events, err := log.Events(ctx, r.connection, stream, after, limit)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if err := r.take(stream, e); err != nil {
			return 0, fmt.Errorf("stream %s: %w\n%s", stream, err, r.history(stream, e.Subject))
		}
	}
	return len(events), nil
}

func (r *receiver) take(stream string, e ingest.Event) error {
	if want := int64(len(r.log[stream])) + 1; e.Sequence != want {
		return fmt.Errorf("sequence %d comes where %d is due", e.Sequence, want)
	}
	r.log[stream] = append(r.log[stream], e)
	if r.keys[stream] == nil {
		r.keys[stream], r.state[stream] = map[string]bool{}, map[string]string{}
	}
	if r.keys[stream][e.Key] {
		return fmt.Errorf("key %s comes twice", e.Key)
	}
	r.keys[stream][e.Key] = true
	is := identity{r.connection, stream, e.Key, string(e.Payload)}
	if was, ok := r.identities[e.ID]; ok && was != is {
		return fmt.Errorf("id %s names %v and %v", e.ID, was, is)
	}
	r.identities[e.ID] = is
	if e.Late || strings.HasPrefix(e.Key, "e/") {
		return nil
	}
	entity, state := [2]string{stream, e.Subject}, string(e.Operation)+string(e.Payload)
	if strings.HasPrefix(e.Key, "l/") && r.newest[entity] == state {
		return fmt.Errorf("a state without a version comes twice in a row: %s", e.Key)
	}
	r.newest[entity] = state
	if e.Operation == ingest.Deletion {
		delete(r.state[stream], e.Subject)
	} else {
		r.state[stream][e.Subject] = string(e.Payload)
	}
	return nil
}

// history tells what the log says of an entity.
func (r *receiver) history(stream, subject string) string {
	lines := []string{"the log's events of " + subject + ":"}
	for _, e := range r.log[stream] {
		if e.Subject == subject {
			late := ""
			if e.Late {
				late = " late"
			}
			lines = append(lines, fmt.Sprintf("  %4d %s%s %s at %s %s", e.Sequence, e.Operation, late, e.Key, e.Time.Format(time.RFC3339Nano), e.Payload))
		}
	}
	return strings.Join(lines, "\n")
}

// differences lists the entities that differ, sorted.
func differences(a, b map[string]string) []string {
	var ids []string
	for id, body := range a {
		if other, ok := b[id]; !ok || other != body {
			ids = append(ids, id)
		}
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
