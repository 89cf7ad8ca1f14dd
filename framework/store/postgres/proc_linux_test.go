package postgres

import "syscall"

// child is how servers are started: as another user, since PostgreSQL refuses
// root, and never outliving the tests.
func child(uid, gid uint32, switchUser bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if switchUser {
		a.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return a
}
