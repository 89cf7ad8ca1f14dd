//go:build unix

package cli

import (
	"os/signal"
	"syscall"
)

// surviveFileLimit has a write beyond the process's limit on the size of files
// fail, which is treated as a full disk is, where the signal would end the process.
func surviveFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
