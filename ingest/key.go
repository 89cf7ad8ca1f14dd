package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// ErrNoKey is returned for an emission without an idempotency key.
var ErrNoKey = errors.New("idempotency key is empty (SC402)")

// Key is an idempotency key: it names one version of one entity within a stream
// of a connection. The zero Key is refused. Make one with [VersionKey],
// [LatestKey] or [EventKey].
type Key struct {
	kind    keyKind
	entity  string
	version string
	subject string
}

type keyKind uint8

const (
	keyNone keyKind = iota
	keyVersion
	keyLatest
	keyEvent
)

// MaxKeyBytes bounds entity, version and subject of a key together.
const MaxKeyBytes = 1024

// VersionKey names the given version of an entity. version is whatever the
// provider tells its versions apart by: updated_at, an etag, a revision, or the
// id of the provider's event. Both must be non-empty.
func VersionKey(entity, version string) Key {
	return Key{kind: keyVersion, entity: entity, version: version}
}

// LatestKey names the state of an entity whose provider gives no version. The
// payload is compared with that of the entity's latest event only, so a change
// and its reversal are two events.
func LatestKey(entity string) Key { return Key{kind: keyLatest, entity: entity} }

// EventKey names a fact that happened once and has no later versions. Events
// with such a key belong to no entity.
func EventKey(id string) Key { return Key{kind: keyEvent, entity: id} }

// About returns a key that names the same and whose events say subject in place of
// what the key says of itself: an [EventKey] may hold more than its fact's own id,
// so that it is like no other. An empty subject changes nothing.
func (k Key) About(subject string) Key {
	k.subject = subject
	return k
}

// Entity returns the id of the entity, or "" for an [EventKey].
func (k Key) Entity() string {
	if k.kind == keyEvent {
		return ""
	}
	return k.entity
}

// Subject returns what the event is about: the entity's id, or the fact's own,
// unless [Key.About] says otherwise.
func (k Key) Subject() string { return cmp.Or(k.subject, k.entity) }

// Latest reports whether the payload is compared with the entity's latest event.
func (k Key) Latest() bool { return k.kind == keyLatest }

func (k Key) check() error {
	switch {
	case k.kind == keyNone, k.entity == "":
		return ErrNoKey
	case k.kind == keyVersion && k.version == "":
		return errors.New("idempotency key has no version; use ingest.LatestKey when the provider gives none")
	case len(k.entity)+len(k.version)+len(k.subject) > MaxKeyBytes:
		return errors.New("idempotency key is longer than " + strconv.Itoa(MaxKeyBytes) + " bytes")
	case !validText(k.entity) || !validText(k.version) || !validText(k.subject):
		return errors.New("idempotency key is not valid UTF-8, or holds a NUL byte")
	}
	return nil
}

// Text returns the key as one string in which distinct keys of a stream are
// distinct. revision and payload are used for a [LatestKey] only: revision
// counts the entity's recorded versions, and payload is the payload's hash.
func (k Key) Text(revision int64, payload [16]byte) string {
	// Parts are escaped, so that no two tuples share one text.
	switch k.kind {
	case keyVersion:
		return "v/" + escape(k.entity) + "/" + escape(k.version)
	case keyLatest:
		return "l/" + escape(k.entity) + "/" + strconv.FormatInt(revision, 10) + "/" + base32ID(payload[:])
	default:
		return "e/" + escape(k.entity)
	}
}

var escaper = strings.NewReplacer("%", "%25", "/", "%2f")

func escape(s string) string { return escaper.Replace(s) }

// PayloadHash returns the hash by which a [LatestKey] compares payloads. The
// operation is part of it: a deletion differs from an update to nothing.
func PayloadHash(op Operation, payload []byte) [16]byte {
	h := sha256.New()
	h.Write([]byte(op))
	h.Write([]byte{0})
	h.Write(payload)
	return [16]byte(h.Sum(nil)[:16])
}

// EventID returns the id of the event that key names: "evt_" and a hash of
// connection id, stream and key. Ingesting the same version again, also into a
// restored store, gives the same id.
func EventID(connectionID, stream, key string) string {
	var room [256]byte
	text := room[:0]
	for _, part := range [...]string{connectionID, stream, key} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return "evt_" + base32ID(sum[:20])
}

var lowerBase32 = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func base32ID(b []byte) string { return lowerBase32.EncodeToString(b) }
