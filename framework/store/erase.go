package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Eraser is the part of a [Store] that removes what is known of an entity.
type Eraser interface {
	// Erase blanks what was recorded of an entity of a connection until now: the
	// payloads of its events in all streams, which become [ErasedPayload], and
	// every raw copy in which its id occurs: stored deliveries, which are
	// discarded, also those that wait, and the copies that sinks keep of events.
	// Sequences, ids of events and the memory of keys stay, so readers and
	// deduplication go on as before. A record of it is kept, without the id: see
	// [Erasure]. What fails halfway may be done again. The entity is not barred:
	// what the provider sends of it later is recorded. It fails with ErrNotFound
	// for an unknown connection and ErrInvalid for an entity shorter than
	// [MinErasedBytes].
	Erase(ctx context.Context, connectionID, entity string) (Erasure, error)
}

// ErasedPayload is the payload of an event that was erased.
const ErasedPayload = "null"

// MinErasedBytes is the length of the shortest id of an entity that may be
// erased: raw copies are searched for it, and "1" is in all of them.
const MinErasedBytes = 3

// ErasureStates is the prefix of the states of a connection that record erasures.
const ErasureStates = "erasure/"

// Erasure is what was erased, and the record that is kept of it.
type Erasure struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Entity is a keyed hash of the entity's id: who knows the id and has the
	// store can tell that it was erased, and nobody else.
	Entity string `json:"entity"`
	// Events were blanked, Deliveries discarded, SinkCopies removed.
	Events     int `json:"events"`
	Deliveries int `json:"deliveries"`
	SinkCopies int `json:"sink_copies"`
}

// NewErasure begins the record of an erasure.
func NewErasure(secret []byte, connectionID, entity string, now time.Time) (Erasure, error) {
	if len(entity) < MinErasedBytes || len(entity) > maxEntityBytes || strings.TrimSpace(entity) != entity {
		return Erasure{}, fmt.Errorf("%w: the id of an entity to erase has %d to %d bytes and no space around it", ErrInvalid, MinErasedBytes, maxEntityBytes)
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "erasure\x00%s\x00%s", connectionID, entity)
	return Erasure{ID: NewID("era_", now), At: now.UTC().Truncate(time.Microsecond), Entity: hex.EncodeToString(mac.Sum(nil)[:16])}, nil
}

const maxEntityBytes = 1024

// State is the record as a piece of state of the connection.
func (e Erasure) State() (name string, value []byte, err error) {
	value, err = json.Marshal(e)
	return ErasureStates + e.ID, value, err
}

// ErasureForms are the forms in which the id of an entity occurs in raw copies:
// as it is, in JSON, and in a form or URL.
func ErasureForms(entity string) [][]byte {
	forms := [][]byte{[]byte(entity), []byte(url.QueryEscape(entity)), []byte(url.PathEscape(entity))}
	for _, escape := range []bool{true, false} {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(escape)
		if encoder.Encode(entity) == nil {
			forms = append(forms, bytes.Trim(b.Bytes(), "\"\n"))
		}
	}
	forms = append(forms, bytes.ReplaceAll([]byte(entity), []byte("/"), []byte(`\/`)))
	slices.SortFunc(forms, bytes.Compare)
	return slices.CompactFunc(forms, bytes.Equal)
}
