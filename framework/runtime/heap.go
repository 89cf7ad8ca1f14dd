package runtime

import "runtime"

// heapReserve is how much garbage a small process may gather beyond what the
// collector would let it, in bytes.
const heapReserve = 32 << 20

// ReserveHeap lets a program collect its garbage less often, until release is
// called. The collector runs whenever the heap has doubled, and that of Weir is small:
// under a flood of webhooks it would run many times a second. The reserve counts as
// memory in use, but nothing is ever written to it, so the system gives none for it;
// a heap that is large anyway is collected as before. It is for the main program:
// GOGC and GOMEMLIMIT work beside it.
func ReserveHeap() (release func()) {
	reserve := make([]byte, heapReserve)
	return func() { runtime.KeepAlive(reserve) }
}
