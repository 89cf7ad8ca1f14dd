//go:build unix && !linux

package postgres

import "syscall"

// child is how servers are started: as another user, since PostgreSQL refuses
// root.
func child(uid, gid uint32, switchUser bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if switchUser {
		a.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return a
}
