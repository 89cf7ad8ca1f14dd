//go:build unix

package cli

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that are free for this user, and all there are.
func freeSpace(folder string) (free, all uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize)                                      //nolint:unconvert // its type differs between systems, and it is never negative
	return uint64(s.Bavail) * size, uint64(s.Blocks) * size, nil //nolint:unconvert // as above
}
