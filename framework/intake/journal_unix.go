//go:build unix

package intake

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapped maps the file into memory, so that what is written there is in the file
// as soon as it is written, whatever becomes of the process.
func mapped(file *os.File, size int) (content []byte, unmap func() error, err error) {
	content, err = unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return content, func() error { return unix.Munmap(content) }, nil
}
