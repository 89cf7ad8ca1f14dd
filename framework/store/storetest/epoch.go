package storetest

// Epocher is the part of a store that says under which lease it works.
type Epocher interface {
	// Epoch is that of store.Store.
	Epoch(connectionID string) (epoch int64, ok bool)
}

// Epoch returns the epoch of a connection, for tests that do not ask whether
// the lease is held.
func Epoch(s Epocher, connectionID string) int64 {
	epoch, _ := s.Epoch(connectionID)
	return epoch
}
