package framework

import (
	"errors"
	"fmt"
)

// ErrNewerConnector says that a later version of the connector saved a cursor or
// renamed a stream. This version leaves both alone: another node, or a later
// start, has the version that knows them.
var ErrNewerConnector = errors.New("a newer version of the connector was here")

// CursorMigration reads the cursors of one earlier version of a stream's cursor
// type as today's type C. [FromVersion] makes one.
type CursorMigration[C any] struct {
	from   CursorType
	decode func([]byte) (C, error)
}

// FromVersion says how a cursor that was saved with an earlier CursorVersion
// becomes one of today's type. Old is the type that the stream had then: keep it
// in the code, with another name. When migrate fails, the stream stops with that
// error, and its checkpoint stays.
//
//	framework.Sync(Orders, c.syncOrders, framework.FromVersion(1, func(old pageCursor) (cursor, error) {
//		return cursor{After: old.Last}, nil
//	}))
func FromVersion[Old, C any](version int, migrate func(old Old) (C, error)) CursorMigration[C] {
	codec := newCursorCodec[Old](version)
	return CursorMigration[C]{codec.kind, func(b []byte) (C, error) {
		var old Old
		if err := codec.decode(b, &old); err != nil {
			var none C
			return none, err
		}
		return migrate(old)
	}}
}

// cursorReader is a CursorMigration without its type.
type cursorReader struct {
	from CursorType
	read func([]byte) ([]byte, error)
}

func readers[C any](migrations []CursorMigration[C]) []cursorReader {
	var list []cursorReader
	for _, m := range migrations {
		list = append(list, cursorReader{m.from, func(b []byte) ([]byte, error) {
			if m.decode == nil {
				return nil, errors.New("the migration was not made by framework.FromVersion")
			}
			cursor, err := m.decode(b)
			if err != nil {
				return nil, err
			}
			return cursorCodec{}.encode(cursor)
		}})
	}
	return list
}

// wrongMigrations says what is wrong with the migrations of a route.
func (r Route) wrongMigrations() (faults []string) {
	seen := map[int]bool{}
	for _, m := range r.migrations {
		switch v := m.from.Version; {
		case v >= r.cursor.kind.Version:
			faults = append(faults, fmt.Sprintf("a cursor is migrated from version %d, but the stream declares CursorVersion %d; raise it", v, r.cursor.kind.Version))
		case seen[v]:
			faults = append(faults, fmt.Sprintf("cursors of version %d are migrated twice; keep one FromVersion", v))
		}
		seen[m.from.Version] = true
	}
	return faults
}

// readCursor returns a saved cursor as one of today's type.
func (r Route) readCursor(saved CursorType, cursor []byte) ([]byte, error) {
	kind := r.cursor.kind
	switch {
	case cursor == nil || saved == kind:
		return cursor, nil
	case saved.Version > kind.Version:
		return nil, fmt.Errorf("%w: the cursor was saved with version %d and this connector has version %d; run the newer connector, or reset the stream to read it from the beginning",
			ErrNewerConnector, saved.Version, kind.Version)
	case saved.Version == kind.Version:
		return nil, fmt.Errorf("%w: its type has other fields than the type that saved it; raise CursorVersion and add framework.FromVersion(%d, …), restore the type, or reset the stream", ErrCursorUnreadable, saved.Version)
	}
	for _, m := range r.migrations {
		if m.from.Version != saved.Version {
			continue
		}
		if m.from.Digest != saved.Digest {
			return nil, fmt.Errorf("%w: it was saved with cursor version %d by a type with other fields than framework.FromVersion(%d, …) reads; give it the type that the stream had then, or reset the stream",
				ErrCursorUnreadable, saved.Version, saved.Version)
		}
		return m.migrate(cursor)
	}
	return nil, fmt.Errorf("%w: it was saved with cursor version %d and the code has version %d; add framework.FromVersion(%d, …), restore the version, or reset the stream",
		ErrCursorUnreadable, saved.Version, kind.Version, saved.Version)
}

// migrate reads a saved cursor; a panic of the author's function is an error.
func (r cursorReader) migrate(saved []byte) (cursor []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			cursor, err = nil, fmt.Errorf("migrate cursor from version %d: %w", r.from.Version, newPanicError(v))
		}
	}()
	if cursor, err = r.read(saved); err != nil {
		return nil, fmt.Errorf("migrate cursor from version %d: %w", r.from.Version, Permanent(err))
	}
	return cursor, nil
}
