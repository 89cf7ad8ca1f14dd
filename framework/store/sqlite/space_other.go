//go:build !linux && !darwin

package sqlite

// DiskSpace returns [ErrNoSpaceInfo].
func DiskSpace(string) (Space, error) { return Space{}, ErrNoSpaceInfo }
