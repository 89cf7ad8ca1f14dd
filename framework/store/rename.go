package store

import (
	"fmt"
	"slices"
)

// DeclaredStream is what a connector calls one of its streams.
type DeclaredStream struct {
	// Key is the stream's key.
	Key string
	// Former are the keys that it had before, the last one first.
	Former []string
}

// Rename is a change of a stream's key.
type Rename struct{ From, To string }

// RenamedError is an [ErrRenamed] that says which stream it is.
type RenamedError struct{ Rename }

// Error names both keys.
func (e *RenamedError) Error() string {
	return fmt.Sprintf("stream %q is %q now: %v", e.From, e.To, ErrRenamed)
}

// Unwrap makes errors.Is(err, ErrRenamed) true.
func (e *RenamedError) Unwrap() error { return ErrRenamed }

// Renames says what [Store.RenameStreams] did and found.
type Renames struct {
	// Done are the streams that were renamed now.
	Done []Rename
	// Ahead are declared keys (From) of streams that a later version of the
	// connector has renamed (To): this version does not know the new key. A
	// caller must not write to them, which would begin another stream.
	Ahead []Rename
	// Apart are renames that cannot be made any more, because both keys hold
	// events or a checkpoint. Both streams stay as they are.
	Apart []Rename
}

// StreamRow is what a backend knows of a stream before it plans a rename.
type StreamRow struct {
	Key string
	// Empty says that it has neither events nor a checkpoint.
	Empty bool
	// Former are the keys that it had before.
	Former []string
}

// RenamePlan is what a backend does to rename streams, in this order.
type RenamePlan struct {
	Renames
	// Release are former keys that a stream of today's catalog has: they no
	// longer stand for the renamed one.
	Release []string
	// Former are former keys (From) of streams that are stored as To: whoever was
	// never there has skipped them. They are recorded after Done.
	Former []Rename
	// Drop are empty streams that stand in the way of a rename in Done.
	Drop []string
}

// PlanRenames compares the streams of a connection with those that its connector
// declares. Backends call it.
func PlanRenames(rows []StreamRow, declared []DeclaredStream) RenamePlan {
	byKey, now := map[string]StreamRow{}, map[string]string{}
	for _, r := range rows {
		byKey[r.Key] = r
		for _, former := range r.Former {
			now[former] = r.Key
		}
	}
	isDeclared := func(key string) bool {
		return slices.ContainsFunc(declared, func(d DeclaredStream) bool { return d.Key == key })
	}
	var p RenamePlan
	for _, d := range declared {
		switch to, renamed := now[d.Key]; {
		case !renamed, slices.Contains(d.Former, to): // renamed back
		case isDeclared(to):
			p.Release = append(p.Release, d.Key)
		default:
			p.Ahead = append(p.Ahead, Rename{d.Key, to})
			continue
		}
		target, stored := byKey[d.Key]
		for _, former := range d.Former {
			from, there := byKey[former]
			change := Rename{former, d.Key}
			switch {
			case !there, isDeclared(former):
				continue
			case from.Empty && (stored || othersHold(d.Former, former, byKey)):
				// Nothing to keep: a program older than the rename left the row behind.
				continue
			case stored && !target.Empty:
				p.Apart = append(p.Apart, change)
				continue
			case stored:
				p.Drop = append(p.Drop, d.Key)
			}
			p.Done = append(p.Done, change)
			target, stored = StreamRow{Key: d.Key, Former: from.Former}, true
		}
		if stored {
			p.Former = append(p.Former, skipped(p, d, target, byKey, now)...)
		}
	}
	return p
}

// othersHold reports whether another of the former keys has events or a checkpoint.
func othersHold(former []string, but string, rows map[string]StreamRow) bool {
	return slices.ContainsFunc(former, func(key string) bool {
		row, stored := rows[key]
		return key != but && stored && !row.Empty
	})
}

// skipped are the former keys of a stored stream that are not recorded as such.
func skipped(p RenamePlan, d DeclaredStream, target StreamRow, rows map[string]StreamRow, now map[string]string) (list []Rename) {
	for _, former := range d.Former {
		row, stored := rows[former]
		_, taken := now[former]
		if taken || stored && !row.Empty || slices.Contains(target.Former, former) || slices.Contains(p.Done, Rename{former, d.Key}) {
			continue
		}
		list = append(list, Rename{former, d.Key})
	}
	return list
}
