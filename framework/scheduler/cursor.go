package scheduler

import (
	"bytes"
	"fmt"
	"hash/maphash"
)

// loopDetector finds cursors that come back within one run, in constant space
// (Brent's algorithm): it keeps one cursor, and takes a new one each time the
// number of steps since has doubled.
type loopDetector struct {
	kept        uint64
	steps, room int
}

var loopSeed = maphash.MakeSeed()

// sees reports whether the run has been at cursor before. A loop of n pages is
// found within 3n more.
func (d *loopDetector) sees(cursor []byte) bool {
	sum := maphash.Bytes(loopSeed, cursor)
	if d.room > 0 && sum == d.kept {
		return true
	}
	if d.steps++; d.steps >= d.room {
		d.kept, d.steps, d.room = sum, 0, max(1, 2*d.room)
	}
	return false
}

// stuck reports why a page that asks for more leads nowhere, or nil.
func (r *run) stuck(cursor []byte, hasMore bool) error {
	switch {
	case !hasMore:
		return nil
	case r.checkpoint.Cursor != nil && bytes.Equal(cursor, r.checkpoint.Cursor):
		return stands(r.Pages + 1)
	case r.loop.sees(cursor):
		return fmt.Errorf("%w: after page %d the run is at a cursor where it was before; return HasMore false when there is nothing left, or a cursor behind the page", ErrCursorStuck, r.Pages+1)
	}
	return nil
}

func stands(page int64) error {
	return fmt.Errorf("%w: page %d returned the cursor it was given; return HasMore false when there is nothing left, or a cursor behind the page", ErrCursorStuck, page)
}
