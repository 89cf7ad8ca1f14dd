package framework

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// ErrCursorUnreadable says that a saved cursor does not belong to the cursor
// type of today's code. The stream stops rather than start from the beginning.
var ErrCursorUnreadable = errors.New("cursor unreadable")

// CursorError says why an encoded cursor is not one of a stream's cursor type.
// It is an [ErrCursorUnreadable].
type CursorError struct{ Reason error }

// Error says what is wrong with the cursor, and the way out where it was saved.
func (e *CursorError) Error() string {
	return fmt.Sprintf("%v: %v; reset the stream, or restore the cursor type", ErrCursorUnreadable, e.Reason)
}

// Unwrap returns [ErrCursorUnreadable] and the reason.
func (e *CursorError) Unwrap() []error { return []error{ErrCursorUnreadable, e.Reason} }

// MaxCursorBytes bounds an encoded cursor.
const MaxCursorBytes = 64 << 10

// CursorType identifies the type of a stream's cursor in a checkpoint.
type CursorType struct {
	// Version is the author's, from the stream's declaration.
	Version int
	// Digest is a hash of the Go type's shape: field names, JSON names and kinds.
	Digest string
}

type cursorCodec struct {
	kind  CursorType
	fresh func() any // a pointer to a zero cursor
}

func newCursorCodec[C any](version int) cursorCodec {
	var shape strings.Builder
	writeShape(&shape, reflect.TypeFor[C](), map[reflect.Type]bool{})
	sum := sha256.Sum256([]byte(shape.String()))
	return cursorCodec{CursorType{Version: version, Digest: hex.EncodeToString(sum[:8])}, func() any { return new(C) }}
}

func (cursorCodec) encode(cursor any) ([]byte, error) {
	b, err := json.Marshal(cursor)
	if err != nil {
		return nil, fmt.Errorf("encode cursor: %w", err)
	}
	if len(b) > MaxCursorBytes {
		return nil, fmt.Errorf("encode cursor: %d bytes; the limit is %d", len(b), MaxCursorBytes)
	}
	return b, nil
}

func (cursorCodec) decode(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &CursorError{Reason: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &CursorError{Reason: errors.New("data after the cursor")}
	}
	return nil
}

// writeShape writes what the JSON form of t depends on. Type names are left
// out, so that a renamed type still reads its checkpoints.
func writeShape(w *strings.Builder, t reflect.Type, open map[reflect.Type]bool) {
	if open[t] {
		w.WriteString("^")
		return
	}
	open[t] = true
	defer delete(open, t)
	switch t.Kind() {
	case reflect.Struct:
		if implementsJSON(t) {
			fmt.Fprintf(w, "%s.%s", t.PkgPath(), t.Name())
			return
		}
		w.WriteString("{")
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || (!f.IsExported() && !f.Anonymous) {
				continue
			}
			if name == "" {
				name = f.Name
			}
			w.WriteString(name + ":")
			writeShape(w, f.Type, open)
			w.WriteString(";")
		}
		w.WriteString("}")
	case reflect.Slice, reflect.Array:
		w.WriteString("[]")
		writeShape(w, t.Elem(), open)
	case reflect.Map:
		w.WriteString("map[" + t.Key().Kind().String() + "]")
		writeShape(w, t.Elem(), open)
	case reflect.Pointer:
		writeShape(w, t.Elem(), open)
	default:
		w.WriteString(t.Kind().String())
	}
}

func implementsJSON(t reflect.Type) bool {
	u := reflect.TypeFor[json.Unmarshaler]()
	return t.Implements(u) || reflect.PointerTo(t).Implements(u)
}
