//go:build !linux

package main

import "time"

// cpu is not known while the child runs.
func (p *process) cpu() (time.Duration, error) { return 0, nil }

// memory is not known.
func (p *process) memory() int64 { return 0 }
