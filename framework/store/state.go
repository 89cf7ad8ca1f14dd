package store

import "time"

// StateWrite replaces or removes one named piece of state of the unit's
// connection: the progress of a backfill, what is left of a rate budget, a
// breaker. Like everything in a unit it is fenced by the unit's epoch. Two
// writers of one name under one epoch are the caller's to order: the last wins.
type StateWrite struct {
	// Name is unique within the connection. Its first part, up to a slash, says
	// whose it is: "backfill/bfl_…", "budget/api".
	Name string
	// Value is kept as it is, at most [MaxStateBytes]; nil removes the name.
	Value []byte
}

// MaxStateBytes bounds one piece of state.
const MaxStateBytes = 64 << 10

// State is one named piece of state of a connection.
type State struct {
	ConnectionID, Name string
	Value              []byte
	// UpdatedAt is the At of the unit that wrote it.
	UpdatedAt time.Time
}
