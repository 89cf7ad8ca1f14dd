package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/weirhq/weir/catalog"
)

// Options are the particulars of one emission.
type Options struct {
	// IdempotencyKey names the version of the entity. Required.
	IdempotencyKey Key
	// Time is when the entity took this version, on the provider's clock. It
	// decides which of two versions is newer when they arrive out of order.
	// Without it, the time of the request that read the record is used.
	Time time.Time
}

// RawJSON is implemented by records that carry the provider's own bytes. They
// are recorded as they are, so that number digits, key order and escapes stay.
type RawJSON interface {
	// RawJSON returns one valid JSON value.
	RawJSON() json.RawMessage
}

// Record is a record whose provider bytes are kept beside the decoded value. It
// decodes from JSON, so a page of them is []Record[T].
type Record[T any] struct {
	// Value is what the connector reads.
	Value T
	raw   json.RawMessage
}

// UnmarshalJSON keeps b and decodes it into r.Value.
func (r *Record[T]) UnmarshalJSON(b []byte) error {
	r.raw = nil
	if err := json.Unmarshal(b, &r.Value); err != nil {
		return err
	}
	r.raw = bytes.Clone(b)
	return nil
}

// decodable is a *[Record].
type decodable interface {
	json.Unmarshaler
	decoded() json.RawMessage
}

// Decode is json.Unmarshal, and reads b half as often where v is a *[Record].
func Decode(b []byte, v any) error {
	if r, ok := v.(decodable); ok {
		return r.UnmarshalJSON(bytes.Trim(b, " \t\r\n"))
	}
	return json.Unmarshal(b, v)
}

// decoded returns the bytes that r was decoded from, which so are valid JSON.
func (r Record[T]) decoded() json.RawMessage { return r.raw }

// MarshalJSON returns the kept bytes, or the encoded value if there are none.
func (r Record[T]) MarshalJSON() ([]byte, error) {
	if r.raw == nil {
		return json.Marshal(r.Value)
	}
	return r.raw, nil
}

// RawJSON returns the bytes that r was decoded from.
func (r Record[T]) RawJSON() json.RawMessage { return r.raw }

// Canonical emits the whole state of one record to a stream. canonicalType is
// the event's type, for example "customer". It fails, and poisons the buffer,
// when the key is missing, the payload does not encode, a limit is passed, or
// the stream is not the connector's own; the error says which.
func Canonical[T any](out *Buffer, stream catalog.Of[T], canonicalType string, payload T, options Options) error {
	encoded, err := encode(payload)
	return out.add(Emission{
		Stream: stream.Key(), Type: canonicalType, Operation: Upsert,
		Key: options.IdempotencyKey, Time: options.Time, Payload: encoded,
	}, err)
}

// Delete emits that the entity named by the key is gone. It fails as
// [Canonical] does.
func Delete(out *Buffer, stream catalog.Stream, canonicalType string, options Options) error {
	return out.add(Emission{
		Stream: stream.Key(), Type: canonicalType, Operation: Deletion,
		Key: options.IdempotencyKey, Time: options.Time,
	}, nil)
}

// wasDecoded reports that raw are the bytes that a [Record] was decoded from.
func wasDecoded(payload any, raw json.RawMessage) bool {
	r, ok := payload.(interface{ decoded() json.RawMessage })
	if !ok {
		return false
	}
	proven := r.decoded()
	return len(raw) > 0 && len(raw) == len(proven) && &raw[0] == &proven[0]
}

func encode(payload any) ([]byte, error) {
	var raw json.RawMessage
	switch p := payload.(type) {
	case json.RawMessage:
		raw = p
	case RawJSON:
		raw = p.RawJSON()
	}
	if raw != nil {
		if !wasDecoded(payload, raw) && !json.Valid(raw) {
			return nil, errors.New("the raw payload is not valid JSON")
		}
		return raw, nil
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(payload); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
