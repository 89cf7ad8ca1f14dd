package retention

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// Hash is that of a key or entity, as package groupcommit makes it: the keys of
// an entity begin with the same 8 bytes as it does.
type Hash [16]byte

// Key is the row of a key, or of an entity and then the sequence of its newest
// version.
type Key struct {
	Hash     Hash
	Sequence int64
	Entity   bool
}

// keyPage is how many keys are read at once.
const keyPage = 10_000

// forget drops the keys of a stream that were recorded before a time.
func forget(ctx context.Context, b Backend, s Stream, before time.Time) error {
	recent, err := b.RecordedSince(ctx, s, before)
	if err != nil {
		return err
	}
	through := s.Head - recent
	if through <= 0 {
		return nil
	}
	limit, after := keyPage, Hash{}
	for {
		page, err := b.Keys(ctx, s, after, limit)
		if err != nil {
			return err
		}
		whole, more := page, len(page) == limit
		if more {
			// The last entity may have more keys on the next page.
			whole = page[:startOfGroup(page)]
		}
		if more && len(whole) == 0 {
			limit *= 2
			continue
		}
		for part := range slices.Chunk(forgotten(whole, through), MaxRows) {
			if err := b.RemoveKeys(ctx, s, part); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		limit, after = keyPage, whole[len(whole)-1].Hash
	}
}

// startOfGroup is where the last group of keys of one entity begins.
func startOfGroup(page []Key) int {
	last := page[len(page)-1].Hash
	return slices.IndexFunc(page, func(k Key) bool { return sameEntity(k.Hash, last) })
}

func sameEntity(a, b Hash) bool { return bytes.Equal(a[:8], b[:8]) }

// forgotten returns the keys up to a sequence, without those of the newest
// version of an entity.
func forgotten(page []Key, through int64) []Hash {
	var out []Hash
	for len(page) > 0 {
		n := 1
		for n < len(page) && sameEntity(page[n].Hash, page[0].Hash) {
			n++
		}
		group := page[:n]
		page = page[n:]
		for _, k := range group {
			newest := slices.ContainsFunc(group, func(e Key) bool { return e.Entity && e.Sequence == k.Sequence })
			if !k.Entity && k.Sequence <= through && !newest {
				out = append(out, k.Hash)
			}
		}
	}
	return out
}
