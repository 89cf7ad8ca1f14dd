package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Table is a table of a store, as both backends see it.
type Table struct {
	Name    string
	Columns []string
}

// Row holds a value for each column of a table: nil, int64 (also truths, 0 or 1,
// and times, in microseconds since 1970), string or []byte. A text and the same
// bytes are equal: one backend may keep as bytes what is a text in the other.
type Row []any

// Store is an end of a move.
type Store interface {
	// Tables lists what is moved, in the order in which it must be written.
	Tables(ctx context.Context) ([]Table, error)
	// Count returns the number of rows of a table.
	Count(ctx context.Context, t Table) (int64, error)
	// Read calls yield with every row of a table, in any order. Rows may be kept.
	Read(ctx context.Context, t Table, yield func(Row) error) error
	// Close ends the use of the store. A target that was not committed is as it
	// was before.
	Close() error
}

// Source is what is moved.
type Source interface {
	Store
	// Counters are numbers that must not be given a second time, by name.
	Counters(ctx context.Context) (map[string]int64, error)
}

// Target is where it is moved to.
type Target interface {
	Store
	// Write adds rows to a table.
	Write(ctx context.Context, t Table, rows []Row) error
	// SetCounters takes over the source's counters.
	SetCounters(ctx context.Context, counters map[string]int64) error
	// Commit makes everything that was written durable and visible.
	Commit(ctx context.Context) error
}

// Names of counters that every backend has: the last numbers of connections and
// streams, and the greatest epoch of a lease.
const (
	CounterConnections = "connections"
	CounterStreams     = "streams"
	CounterEpoch       = "epoch"
)

// MetaTable holds what belongs to the whole store, by name.
const MetaTable = "meta"

// ErrNotEmpty says that there is a store in the target already.
var ErrNotEmpty = errors.New("the target is not empty")

// Options of a move.
type Options struct {
	// Progress is told what was done so far. It may be nil.
	Progress func(Progress)
}

// Progress is what was done so far. Rows of the source are counted once when
// they are written and once when they were read again.
type Progress struct {
	Table       string
	Done, Total int64
}

// Result says what was moved, a line a table.
type Result struct{ Tables []Sum }

// Batches are written at either bound.
const (
	batchRows  = 1000
	batchBytes = 4 << 20
)

// Move moves everything from a source into an empty target and commits it. The
// source is only read.
func Move(ctx context.Context, from Source, to Target, o Options) (Result, error) {
	tables, err := agree(ctx, from, to)
	if err != nil {
		return Result{}, err
	}
	for _, t := range tables {
		n, err := to.Count(ctx, t)
		if err != nil {
			return Result{}, fmt.Errorf("look into the target: %w", err)
		}
		if n > 0 {
			return Result{}, fmt.Errorf("%w: its table %s has %d rows; choose an empty one, nothing was changed", ErrNotEmpty, t.Name, n)
		}
	}
	m := &move{from: from, to: to, options: o}
	if err := m.count(ctx, tables); err != nil {
		return Result{}, err
	}
	var result Result
	for _, t := range tables {
		sum, err := m.table(ctx, t)
		if err != nil {
			return Result{}, fmt.Errorf("move table %s: %w", t.Name, err)
		}
		result.Tables = append(result.Tables, sum)
	}
	counters, err := from.Counters(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("read counters: %w", err)
	}
	if err := to.SetCounters(ctx, counters); err != nil {
		return Result{}, fmt.Errorf("write counters: %w", err)
	}
	for i, t := range tables {
		again, err := m.sum(ctx, t)
		if err != nil {
			return Result{}, fmt.Errorf("read table %s again: %w", t.Name, err)
		}
		if again != result.Tables[i] {
			return Result{}, fmt.Errorf("table %s of the target differs from the source: %d rows with digest %s, not %d with %s; nothing was changed",
				t.Name, again.Rows, again.Digest, result.Tables[i].Rows, result.Tables[i].Digest)
		}
	}
	if err := to.Commit(ctx); err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	return result, nil
}

// agree returns the tables of both ends, or everything that they differ in.
func agree(ctx context.Context, from, to Store) ([]Table, error) {
	have, err := from.Tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the source's schema: %w", err)
	}
	want, err := to.Tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the target's schema: %w", err)
	}
	a, b := columns(have), columns(want)
	var differences []string
	for name := range a {
		if !b[name] {
			differences = append(differences, name+" is only in the source")
		}
	}
	for name := range b {
		if !a[name] {
			differences = append(differences, name+" is only in the target")
		}
	}
	if len(differences) > 0 {
		slices.Sort(differences)
		return nil, fmt.Errorf("the schemas of source and target differ: %s", strings.Join(differences, ", "))
	}
	return want, nil
}

func columns(tables []Table) map[string]bool {
	all := map[string]bool{}
	for _, t := range tables {
		for _, c := range t.Columns {
			all[t.Name+"."+c] = true
		}
	}
	return all
}

type move struct {
	from     Source
	to       Target
	options  Options
	progress Progress
}

func (m *move) count(ctx context.Context, tables []Table) error {
	for _, t := range tables {
		n, err := m.from.Count(ctx, t)
		if err != nil {
			return fmt.Errorf("count rows of table %s: %w", t.Name, err)
		}
		m.progress.Total += 2 * n
	}
	return nil
}

func (m *move) did(rows int) {
	m.progress.Done += int64(rows)
	if m.options.Progress != nil {
		m.options.Progress(m.progress)
	}
}

// table copies one table and returns what was read of it.
func (m *move) table(ctx context.Context, t Table) (Sum, error) {
	m.progress.Table = t.Name
	d := newDigest(t)
	var batch []Row
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := m.to.Write(ctx, t, batch); err != nil {
			return err
		}
		m.did(len(batch))
		batch, size = batch[:0], 0
		return nil
	}
	add := func(r Row) error {
		d.add(r)
		size += sizeOf(r)
		if batch = append(batch, r); len(batch) >= batchRows || size >= batchBytes {
			return flush()
		}
		return ctx.Err()
	}
	err := m.from.Read(ctx, t, add)
	if err == nil {
		err = flush()
	}
	return d.sum(), err
}

// sum reads a table of the target again.
func (m *move) sum(ctx context.Context, t Table) (Sum, error) {
	m.progress.Table = t.Name
	return SumOf(ctx, m.to, t, m.did)
}

// Order compares two tables by when they are written: what others refer to
// comes first.
func Order(a, b string) int {
	first := []string{MetaTable, "connections", "streams"}
	rank := func(name string) int {
		if i := slices.Index(first, name); i >= 0 {
			return i
		}
		return len(first)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
