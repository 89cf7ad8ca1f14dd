package store

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns prefix and a sortable id: a UUIDv7 (RFC 9562) in lower-case
// base32. at is the time that it sorts by.
func NewID(prefix string, at time.Time) string {
	var b [16]byte
	// crypto/rand never fails: https://pkg.go.dev/crypto/rand#Read
	_, _ = rand.Read(b[6:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return prefix + idEncoding.EncodeToString(b[:])
}

// NewCommitID returns the id of a [Unit].
func NewCommitID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])
}
