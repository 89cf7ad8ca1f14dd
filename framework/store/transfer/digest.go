package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"slices"
)

// Sum is the number of rows of a table and a digest of what is in them. The
// order of rows and of columns does not matter to it.
type Sum struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// SumOf reads a table and sums it up. progress may be nil; it is told how many
// rows more were read.
func SumOf(ctx context.Context, s Store, t Table, progress func(rows int)) (Sum, error) {
	d := newDigest(t)
	err := s.Read(ctx, t, func(r Row) error {
		d.add(r)
		if progress != nil && d.rows%batchRows == 0 {
			progress(batchRows)
		}
		return ctx.Err()
	})
	if progress != nil {
		progress(int(d.rows % batchRows))
	}
	return d.sum(), err
}

// digest adds up the hashes of rows as 256-bit numbers: a sum does not depend on
// the order, and unlike XOR it sees a row twice.
type digest struct {
	table string
	// order is that of the columns' names.
	order []int
	rows  int64
	total [4]uint64
	buf   []byte
}

func newDigest(t Table) *digest {
	d := &digest{table: t.Name, order: make([]int, len(t.Columns))}
	for i := range d.order {
		d.order[i] = i
	}
	slices.SortFunc(d.order, func(a, b int) int {
		if t.Columns[a] < t.Columns[b] {
			return -1
		}
		return 1
	})
	return d
}

func (d *digest) add(r Row) {
	d.rows++
	d.buf = d.buf[:0]
	for _, i := range d.order {
		switch v := r[i].(type) {
		case int64:
			d.buf = append(d.buf, 1)
			d.buf = binary.BigEndian.AppendUint64(d.buf, uint64(v))
		case string:
			d.buf = append(d.buf, 2)
			d.buf = append(binary.BigEndian.AppendUint64(d.buf, uint64(len(v))), v...)
		case []byte:
			d.buf = append(d.buf, 2)
			d.buf = append(binary.BigEndian.AppendUint64(d.buf, uint64(len(v))), v...)
		default:
			d.buf = append(d.buf, 0)
		}
	}
	sum := sha256.Sum256(d.buf)
	var carry uint64
	for i := range d.total {
		d.total[i], carry = bits.Add64(d.total[i], binary.BigEndian.Uint64(sum[8*i:]), carry)
	}
}

func (d *digest) sum() Sum {
	var b []byte
	for _, n := range d.total {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return Sum{Table: d.table, Rows: d.rows, Digest: hex.EncodeToString(b[:16])}
}

func sizeOf(r Row) int {
	n := 16 * len(r)
	for _, v := range r {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}
