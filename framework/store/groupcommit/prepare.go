package groupcommit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// emission is an [ingest.Emission] with everything that can be computed before
// the transaction.
type emission struct {
	*ingest.Emission
	stream StreamKey
	// origin is the stream's key as it goes into the hashes.
	origin string
	time   time.Time
	// entity and payload are set when the key has an entity.
	entity  Hash
	payload Hash
	// key is the text and keyHash its hash. For a latest key they are those that
	// the event has if it is late; its ordinary text depends on the transaction.
	key     string
	keyHash Hash
}

// hasher makes keyed hashes. The key is the store's own random secret: without
// the database nobody can test a guess of a key against a hash.
type hasher struct {
	pool sync.Pool
	// origins holds the origin of each stream that has another key now. It is a
	// guess that saves work: the transaction compares it with the stream's row.
	origins sync.Map
}

func newHasher(secret []byte) *hasher {
	secret = append([]byte(nil), secret...)
	return &hasher{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

// sum hashes the parts, with the length of each before it: no two lists of
// parts share an input.
func (h *hasher) sum(parts ...string) Hash {
	mac, _ := h.pool.Get().(hash.Hash)
	mac.Reset()
	var buf [512]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p))) // checked before: far below 4 GiB
		b = append(b, p...)
	}
	mac.Write(b)
	var out [sha256.Size]byte
	mac.Sum(out[:0])
	h.pool.Put(mac)
	return Hash(out[:16])
}

// prepare checks u and computes what does not depend on the database. u's
// slices are kept: the caller must not change them until the unit is answered.
func (h *hasher) prepare(u store.Unit) (*op, error) {
	if err := check(&u); err != nil {
		return nil, err
	}
	u.At = micro(u.At)
	u.ObservedAt = micro(u.ObservedAt)
	if u.ObservedAt.IsZero() {
		u.ObservedAt = u.At
	}
	o := &op{unit: u, emissions: make([]emission, len(u.Emissions)), done: make(chan answer, 1)}
	for i := range u.Emissions {
		o.emissions[i] = h.emission(&u, &u.Emissions[i])
		o.bytes += len(u.Emissions[i].Payload) + 256
	}
	if u.Reserve != nil {
		o.delivery = DeliveryKey{
			ConnectionID: u.ConnectionID, Endpoint: u.Reserve.Endpoint,
			Hash: h.sum("delivery", u.ConnectionID, u.Reserve.Endpoint, u.Reserve.Key),
		}
	}
	if u.Keep != nil {
		keep := *u.Keep
		keep.ConnectionID = u.ConnectionID
		keep.ReceivedAt, keep.NextAttemptAt = micro(keep.ReceivedAt), micro(keep.NextAttemptAt)
		keep.LastError = cut(keep.LastError, MaxErrorBytes)
		o.unit.Keep = &keep
		o.bytes += len(keep.Body) + len(keep.Header)
	}
	if u.Run != nil {
		run := *u.Run
		run.Run.ConnectionID = u.ConnectionID
		run.Run.StartedAt, run.Run.FinishedAt = micro(run.Run.StartedAt), micro(run.Run.FinishedAt)
		run.Run.Error, run.Run.Stack = cut(run.Run.Error, MaxErrorBytes), cut(run.Run.Stack, MaxStackBytes)
		o.unit.Run = &run
	}
	for _, w := range u.State {
		o.bytes += len(w.Value) + len(w.Name)
	}
	o.bytes += 512 + sinkBytes(u.Sink)
	return o, nil
}

func (h *hasher) emission(u *store.Unit, in *ingest.Emission) emission {
	e := emission{
		Emission: in,
		stream:   StreamKey{u.ConnectionID, in.Stream},
		origin:   in.Stream,
		time:     micro(in.Time),
	}
	if origin, renamed := h.origins.Load(e.stream); renamed {
		e.origin, _ = origin.(string)
	}
	if in.Time.IsZero() {
		e.time = u.ObservedAt
	}
	if in.Key.Entity() != "" {
		e.payload = ingest.PayloadHash(in.Operation, in.Payload)
	}
	e.key = in.Key.Text(0, e.payload)
	if in.Key.Latest() {
		e.key = lateText(in.Key, e.time, e.payload)
	}
	h.hashes(&e)
	return e
}

// hashes computes what the stream's origin goes into.
func (h *hasher) hashes(e *emission) {
	if entity := e.Key.Entity(); entity != "" {
		e.entity = h.entity(StreamKey{e.stream.ConnectionID, e.origin}, entity)
	}
	e.keyHash = h.key(e, e.key)
}

// rehash computes the hashes again if the origin is another than was thought.
func (h *hasher) rehash(e *emission, origin string) {
	if e.origin != origin {
		e.origin = origin
		h.hashes(e)
	}
}

// learn keeps the origin of a stream for the units to come.
func (h *hasher) learn(s StreamKey, origin string) {
	if origin == s.Stream {
		h.origins.Delete(s)
	} else {
		h.origins.Store(s, origin)
	}
}

// The hash of an entity is odd and that of a key is even, so that a backend may
// keep both in one table. The keys of an entity share its first half: they lie
// beside it in a B-tree, and a new version touches one page of it. The other 63
// bits tell the versions of one entity apart.

func (h *hasher) entity(s StreamKey, entity string) Hash {
	sum := h.sum("entity", s.ConnectionID, s.Stream, entity)
	sum[15] |= 1
	return sum
}

func (h *hasher) key(e *emission, text string) Hash {
	sum := h.sum("key", e.stream.ConnectionID, e.origin, text)
	sum[15] &^= 1
	if e.Key.Entity() != "" {
		copy(sum[:8], e.entity[:8])
	}
	return sum
}

// lateText is the key text of a late event with a latest key. It must not take
// part in the count of revisions: the state that it names may become the newest
// one afterwards, and must then be recorded. It is named by its time instead,
// so that reading it again adds nothing.
func lateText(k ingest.Key, at time.Time, payload Hash) string {
	return ingest.VersionKey(k.Entity(), "late@"+at.UTC().Format(ingest.TimeFormat)).Text(0, payload) +
		"/" + ingest.LatestKey("").Text(0, payload)
}

// micro is t as a store keeps it: UTC, in microseconds. The zero time stays zero.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
