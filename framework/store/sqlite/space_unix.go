//go:build linux || darwin

package sqlite

import (
	"fmt"
	"syscall"
)

// DiskSpace returns the room on the file system of a folder that exists, or
// [ErrNoSpaceInfo].
func DiskSpace(dir string) (Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Space{}, fmt.Errorf("read free space of %s: %w", dir, err)
	}
	block := uint64(s.Bsize)
	return Space{Free: s.Bavail * block, Size: s.Blocks * block}, nil
}
