package store

import "slices"

// DeclaredStream is what a connector calls one of its streams.
type DeclaredStream struct {
	// Key is the stream's key.
	Key string
	// RenamedFrom is the key that it had before, or "".
	RenamedFrom string
}

// Rename is a change of a stream's key.
type Rename struct{ From, To string }

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
		case !renamed, to == d.RenamedFrom: // renamed back
		case isDeclared(to):
			p.Release = append(p.Release, d.Key)
		default:
			p.Ahead = append(p.Ahead, Rename{d.Key, to})
			continue
		}
		from, stored := byKey[d.RenamedFrom]
		if !stored || isDeclared(d.RenamedFrom) {
			continue
		}
		change := Rename{d.RenamedFrom, d.Key}
		switch target, taken := byKey[d.Key]; {
		case !taken:
			p.Done = append(p.Done, change)
		case from.Empty:
			// Nothing to keep: a program older than the rename left the row behind.
		case target.Empty:
			p.Drop, p.Done = append(p.Drop, d.Key), append(p.Done, change)
		default:
			p.Apart = append(p.Apart, change)
		}
	}
	return p
}
