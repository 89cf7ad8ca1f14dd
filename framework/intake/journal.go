package intake

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// A handler can end the whole process. A sender that got no answer sends again,
// and the process would end again, for ever. So the journal remembers in a file
// which deliveries handlers are at work on. It is written without a sync: what a
// process has written outlives its crash, and that of the machine is not the
// handler's fault.
//
// A delivery that was at work when a process ended is stored when it comes again
// and handled by [Handler.Run], which gives it up after it has ended three
// processes. An endpoint that was at work when three processes in a row ended,
// and of which no call had returned in them, is quarantined: its handler is not
// called until an operator resumes it.
//
// Where the system can, the file is mapped into memory, so that a delivery costs
// no call of the system: what is written there outlives the process too.

const (
	// slotBytes is the size of one slot of the file.
	slotBytes = 32
	// mostSlots bounds the file. What is at work beyond is not remembered.
	mostSlots = 4096
	// mostSuspects bounds the deliveries that are remembered from earlier processes.
	mostSuspects = 1024
	// quarantineAfter is how many processes in a row may end in an endpoint.
	quarantineAfter = 3
)

// mark is a hash that names a delivery or an endpoint in the journal.
type mark [16]byte

func markOf(parts ...string) mark {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p))) // far below 4 GiB
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return mark(sum[:16])
}

func endpointMark(t Target) mark { return markOf("endpoint", t.ConnectionID, t.Endpoint) }

func deliveryMark(t Target, key string) mark {
	return markOf("delivery", t.ConnectionID, t.Endpoint, key)
}

// Kinds of slots.
const (
	slotFree byte = iota
	// slotAtWork is an endpoint whose handler is at work, followed by slotDelivery.
	slotDelivery
	slotAtWork
	// slotReturned is an endpoint of which a call has returned in this process.
	slotReturned
	// slotEnded is an endpoint in which processes ended; its count says how many.
	slotEnded
	// slotSuspect is a delivery that was at work when a process ended.
	slotSuspect
)

// journal is the file. A nil journal remembers nothing.
type journal struct {
	mu   sync.Mutex
	file *os.File
	// slots is the content of the file: its mapping, or, where unmap is nil, a copy.
	slots    []byte
	unmap    func() error
	used     int
	free     []int
	suspects map[mark]bool
	ended    map[mark]byte
	returned map[mark]bool
}

// mapper maps a file into memory; see mapped.
type mapper func(file *os.File, size int) (content []byte, unmap func() error, err error)

// openJournal reads what the last process left in the file and begins it anew.
// The path "" means no journal.
func openJournal(path string, m mapper) (*journal, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // a nil journal remembers nothing
	}
	// A store on a server has made no folder.
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	var file *os.File
	if err == nil {
		file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal of webhooks: %w", err)
	}
	j := &journal{file: file, suspects: map[mark]bool{}, ended: map[mark]byte{}, returned: map[mark]bool{}}
	content := make([]byte, 2*mostSlots*slotBytes)
	n, err := file.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read the journal of webhooks: %w", err), file.Close())
	}
	j.restore(content[:n-n%slotBytes])
	j.mapFile(m)
	if err := j.rewrite(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// mapFile maps the file if there is room for all of it: touching a page of the
// mapping for which the disk has no room would end the process.
func (j *journal) mapFile(m mapper) {
	empty := make([]byte, mostSlots*slotBytes)
	err := j.file.Truncate(0)
	if err == nil {
		_, err = j.file.WriteAt(empty, 0)
	}
	if err == nil {
		j.slots, j.unmap, err = m(j.file, len(empty))
	}
	if err != nil {
		j.slots, j.unmap = empty, nil
	}
}

// restore learns from the slots of the last process.
func (j *journal) restore(content []byte) {
	working, before, returned := map[mark]bool{}, map[mark]byte{}, map[mark]bool{}
	for slot := range slices.Chunk(content, slotBytes) {
		m := mark(slot[2:18])
		switch slot[0] {
		case slotDelivery, slotSuspect:
			if len(j.suspects) < mostSuspects {
				j.suspects[m] = true
			}
		case slotAtWork:
			working[m] = true
		case slotReturned:
			returned[m] = true
		case slotEnded:
			before[m] = slot[1]
		}
	}
	for m, n := range before {
		// What was not at work has not ended this process; a quarantine stays.
		if n >= quarantineAfter || (working[m] && !returned[m]) {
			j.ended[m] = n
		}
	}
	for m := range working {
		if !returned[m] {
			j.ended[m] = min(j.ended[m]+1, quarantineAfter)
		}
	}
}

// rewrite replaces the file's content by what is known now.
func (j *journal) rewrite() error {
	clear(j.slots)
	var err error
	if j.unmap == nil {
		err = j.file.Truncate(0)
	}
	j.used, j.free = 0, nil
	for m := range j.suspects {
		err = errors.Join(err, j.write(j.take(), slotSuspect, 0, m))
	}
	for m, n := range j.ended {
		err = errors.Join(err, j.write(j.take(), slotEnded, n, m))
	}
	for m := range j.returned {
		err = errors.Join(err, j.write(j.take(), slotReturned, 0, m))
	}
	if err != nil {
		return fmt.Errorf("write the journal of webhooks: %w", err)
	}
	return nil
}

// take returns a free slot, or -1.
func (j *journal) take() int {
	if n := len(j.free); n > 0 {
		slot := j.free[n-1]
		j.free = j.free[:n-1]
		return slot
	}
	if j.used == mostSlots {
		return -1
	}
	j.used++
	return j.used - 1
}

func (j *journal) write(slot int, kind, count byte, m mark) error {
	if slot < 0 {
		return nil
	}
	at := slot * slotBytes
	b := j.slots[at : at+slotBytes]
	b[0], b[1] = kind, count
	copy(b[2:], m[:])
	if j.unmap != nil {
		return nil
	}
	_, err := j.file.WriteAt(b, int64(at))
	return err
}

// begin remembers that a handler is at work. The returned function forgets it,
// and remembers that the endpoint's handler has returned.
func (j *journal) begin(endpoint, delivery mark) (end func()) {
	if j == nil {
		return func() {}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return func() {}
	}
	// A journal that cannot be written protects less; no delivery fails for it.
	slots := [2]int{j.take(), j.take()}
	_ = j.write(slots[0], slotAtWork, 0, endpoint)
	_ = j.write(slots[1], slotDelivery, 0, delivery)
	return func() { j.finish(endpoint, slots) }
}

func (j *journal) finish(endpoint mark, slots [2]int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return
	}
	if !j.returned[endpoint] {
		j.returned[endpoint] = true
		_ = j.write(j.take(), slotReturned, 0, endpoint)
	}
	for _, slot := range slots {
		if slot >= 0 {
			_ = j.write(slot, slotFree, 0, mark{})
			j.free = append(j.free, slot)
		}
	}
}

// suspect reports that a delivery was at work when a process ended.
func (j *journal) suspect(delivery mark) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.suspects[delivery]
}

// quarantined reports that the handler of an endpoint must not be called.
func (j *journal) quarantined(endpoint mark) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended[endpoint] >= quarantineAfter
}

// resume ends the quarantine of an endpoint.
func (j *journal) resume(endpoint mark) (bool, error) {
	if j == nil || !j.quarantined(endpoint) {
		return false, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.ended, endpoint)
	if j.file == nil {
		return true, nil
	}
	// The slot is looked for rather than remembered: this is rare.
	for i := range j.used {
		slot := j.slots[i*slotBytes:]
		if slot[0] == slotEnded && mark(slot[2:18]) == endpoint {
			if err := j.write(i, slotFree, 0, mark{}); err != nil {
				return true, fmt.Errorf("write the journal of webhooks: %w", err)
			}
			j.free = append(j.free, i)
		}
	}
	return true, nil
}

// close forgets everything but quarantines: the process stops on purpose.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	clear(j.suspects)
	clear(j.returned)
	for m, n := range j.ended {
		if n < quarantineAfter {
			delete(j.ended, m)
		}
	}
	err := j.rewrite()
	if j.unmap != nil {
		err = errors.Join(err, j.unmap())
	}
	err = errors.Join(err, j.file.Close())
	j.file, j.slots = nil, nil
	return err
}
