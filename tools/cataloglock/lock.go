package cataloglock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// File is the name of a lock beside the package that links the connectors.
const File = "catalog.lock.json"

// format is raised when a lock of today could not be read by yesterday's code.
const format = 1

// maxBytes bounds a lock's file.
const maxBytes = 64 << 20

// Lock is what the linked connectors promised.
type Lock struct {
	// Connectors are ordered by key.
	Connectors []Connector `json:"connectors"`
	// Accepted are the changes that somebody gave a reason for, oldest first.
	Accepted []Acceptance `json:"accepted,omitempty"`
}

// Connector is what one connector promised.
type Connector struct {
	Key     string `json:"key"`
	Package string `json:"package"`
	// Streams and Actions are ordered by key, Endpoints by path.
	Streams   []Stream   `json:"streams"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Actions   []Action   `json:"actions,omitempty"`
}

// Stream is what a stream promised.
type Stream struct {
	Key         string       `json:"key"`
	Mode        catalog.Mode `json:"mode"`
	RenamedFrom string       `json:"renamed_from,omitempty"`
	// FormerKeys are those before RenamedFrom, the last one first.
	FormerKeys []string `json:"former_keys,omitempty"`
	// Cursor is nil for a webhook stream.
	Cursor   *Cursor `json:"cursor,omitempty"`
	Window   bool    `json:"window,omitempty"`
	Backfill bool    `json:"backfill,omitempty"`
	// Identity says how the keys of its events are made, where that can be told
	// from the source, for example "VersionKey(ID)".
	Identity []string `json:"identity,omitempty"`
}

// Cursor identifies a cursor type.
type Cursor struct {
	// Type is the digest of its shape, as checkpoints keep it.
	Type    string `json:"type"`
	Version int    `json:"version"`
	// Migrates are the earlier versions that can be read.
	Migrates []int `json:"migrates,omitempty"`
}

// Endpoint is what a webhook endpoint promised.
type Endpoint struct {
	Path string       `json:"path"`
	Auth catalog.Auth `json:"auth"`
}

// Action is what an action promised: that it can be called by its key.
type Action struct {
	Key string `json:"key"`
}

// Acceptance is the reason for one [Change].
type Acceptance struct {
	Rule string `json:"rule"`
	// Subject is that of the change.
	Subject string `json:"subject"`
	// Was is the digest of what was promised: the next change needs a reason of
	// its own.
	Was    string `json:"was"`
	Reason string `json:"reason"`
}

// Errors of [Decode].
var (
	// ErrFormat says that the file is no lock, or one of a later version.
	ErrFormat = errors.New("not a catalog lock")
	// ErrEdited says that the connectors in the lock are not those that were
	// written: it was edited by hand, or merged.
	ErrEdited = errors.New("catalog lock was edited")
)

// file is a lock as it is encoded.
type file struct {
	Format int    `json:"format"`
	Digest string `json:"digest"`
	Lock
}

// sort brings l into its canonical form: ordered, and without nil lists.
func (l *Lock) sort() {
	if l.Connectors == nil {
		l.Connectors = []Connector{}
	}
	slices.SortFunc(l.Connectors, func(a, b Connector) int { return strings.Compare(a.Key, b.Key) })
	for i := range l.Connectors {
		c := &l.Connectors[i]
		if c.Streams == nil {
			c.Streams = []Stream{}
		}
		slices.SortFunc(c.Streams, func(a, b Stream) int { return strings.Compare(a.Key, b.Key) })
		slices.SortFunc(c.Endpoints, func(a, b Endpoint) int { return strings.Compare(a.Path, b.Path) })
		slices.SortFunc(c.Actions, func(a, b Action) int { return strings.Compare(a.Key, b.Key) })
	}
}

// Encode returns the canonical form: ordered, indented, with the digest of the
// connectors. Equal locks have equal bytes.
func (l Lock) Encode() []byte {
	l.sort()
	return append(encode(file{format, digest(l.Connectors), l}, "  "), '\n')
}

// Digest returns the digest of the connectors, "sha256:<hex>".
func (l Lock) Digest() string {
	l.sort()
	return digest(l.Connectors)
}

// Decode reads a lock. Unknown fields are refused. With [ErrEdited] the lock is
// returned all the same: its connectors are what the file says.
func Decode(b []byte) (Lock, error) {
	if len(b) > maxBytes {
		return Lock{}, fmt.Errorf("%w: %d bytes; the limit is %d", ErrFormat, len(b), maxBytes)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Lock{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Lock{}, fmt.Errorf("%w: data after the lock", ErrFormat)
	}
	if f.Format != format {
		return Lock{}, fmt.Errorf("%w of format %d; this version reads %d", ErrFormat, f.Format, format)
	}
	f.sort()
	if want := digest(f.Connectors); f.Digest != want {
		return f.Lock, fmt.Errorf("%w: its digest says %q and its connectors have %q; run go generate and look at the difference", ErrEdited, f.Digest, want)
	}
	return f.Lock, nil
}

// digest is the SHA-256 of the JSON form.
func digest(v any) string {
	sum := sha256.Sum256(encode(v, ""))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func encode(v any, indent string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		// Strings, numbers and lists of them have a JSON form.
		panic("cataloglock: encode: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func (l Lock) connector(key string) *Connector {
	for i := range l.Connectors {
		if l.Connectors[i].Key == key {
			return &l.Connectors[i]
		}
	}
	return nil
}
