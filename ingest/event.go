package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"time"
)

// Operation says what an event did to its entity.
type Operation string

const (
	// Upsert carries the entity's whole new state.
	Upsert Operation = "upsert"
	// Deletion says that the entity is gone.
	Deletion Operation = "delete"
)

// Emission is one emitted record, encoded and checked, before it is recorded.
type Emission struct {
	Stream    string
	Type      string
	Operation Operation
	Key       Key
	// Time is when the entity took this version, on the provider's clock. It is
	// zero when the author gave none.
	Time    time.Time
	Payload []byte
}

// Event is a canonical event in the log.
type Event struct {
	// ID is stable: see [EventID].
	ID string
	// Project and Connection are names, ConnectionID is the immutable id.
	Project, Connection, ConnectionID string
	// Stream is the stream's key and Sequence its gapless position, from 1.
	Stream   string
	Sequence int64
	// Type is the canonical type, for example "customer".
	Type string
	// Subject is the entity's id, or the fact's own.
	Subject string
	// Operation says what happened to the entity.
	Operation Operation
	// Key is the idempotency key's text.
	Key string
	// Time is when the entity took this version: the provider's word, or the
	// time of the request that read it.
	Time time.Time
	// RecordedAt is when Weir recorded the event.
	RecordedAt time.Time
	// Late says that a newer version of the entity had been recorded before
	// this one arrived. A receiver that keeps the latest state skips late events.
	Late bool
	// Payload is the record as it was emitted, byte for byte.
	Payload json.RawMessage
}

// MaxReadBytes bounds the payloads that one read of a [Log] brings, whatever its
// limit: an event may have 25 MiB.
const MaxReadBytes = 16 << 20

// Log reads recorded events. Sequences are gapless and in commit order, so a
// reader needs only the last sequence it has seen.
type Log interface {
	// Events returns at most limit events of the stream with a sequence greater
	// than after, in order. It fails with a [TrimmedError] when the first of those
	// were removed by retention; a negative after begins at the first that is kept.
	//
	// Fewer than limit may come before the end: their payloads together have at
	// most [MaxReadBytes], unless the first alone has more. Only an answer without
	// events is the end.
	Events(ctx context.Context, connectionID, stream string, after int64, limit int) ([]Event, error)
}

// cloudEvent is the structured JSON form of CloudEvents 1.0
// (https://github.com/cloudevents/spec). Extension names are lower-case
// letters and digits, as the specification asks.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Stream          string          `json:"weirstream"`
	Sequence        int64           `json:"weirsequence"`
	Operation       Operation       `json:"weiroperation"`
	Key             string          `json:"weirkey"`
	Late            bool            `json:"weirlate,omitempty"`
	RecordedAt      string          `json:"weirrecordedat"`
	Data            json.RawMessage `json:"data,omitempty"`
}

// TimeFormat is RFC 3339 in UTC with microseconds.
const TimeFormat = "2006-01-02T15:04:05.000000Z07:00"

// MarshalJSON encodes e as a CloudEvents 1.0 structured event. The payload is
// copied as it is: number digits, key order and escapes stay.
func (e Event) MarshalJSON() ([]byte, error) {
	envelope := cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: "/projects/" + e.Project + "/connections/" + e.ConnectionID,
		Type: e.Type, Subject: e.Subject, Time: e.Time.UTC().Format(TimeFormat), DataContentType: "application/json",
		Stream: e.Connection + "." + e.Stream, Sequence: e.Sequence, Operation: e.Operation, Key: e.Key, Late: e.Late,
		RecordedAt: e.RecordedAt.UTC().Format(TimeFormat),
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(envelope); err != nil {
		return nil, err
	}
	out := bytes.TrimRight(b.Bytes(), "\n")
	if len(e.Payload) == 0 {
		return out, nil
	}
	// json.Marshal would compact and escape a RawMessage, so the payload is
	// spliced in before the closing brace.
	out = append(out[:len(out)-1], `,"data":`...)
	out = append(out, e.Payload...)
	return append(out, '}'), nil
}
