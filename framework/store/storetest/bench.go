//go:build unix

package storetest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/ingest"
)

var (
	benchKeys    = flag.Int("bench.keys", 0, "keys and entities that are there before a benchmark of commits")
	benchRounds  = flag.Int("bench.rounds", 3, "rounds of a benchmark of commits")
	benchWriters = flag.Int("bench.writers", 64, "goroutines that commit in a benchmark")
)

// Bench is a store for [Bench.Run].
type Bench struct {
	// Open opens the store, which holds nothing before the first call.
	Open func(b *testing.B) Counting
	// Fill writes keys and entities straight into the database, and Poison is as in
	// [Harness]. The store is closed.
	Fill   func(b *testing.B, keys int)
	Poison func(b *testing.B)
	// Used reports further counters that only grow, by the unit in which they are
	// printed, for example the CPU time of a server. May be nil.
	Used func(b *testing.B) map[string]float64
}

// Counting is a store that counts its transactions.
type Counting interface {
	store.Store
	// Stats are the counts since it was opened.
	Stats() groupcommit.Stats
}

// Run measures what a commit costs from many goroutines. A unit is a webhook
// delivery: its key, and one event of 1 KiB with a version key. In every second
// round 1 % of the units are poisoned (the database refuses their row) and 1 % lose
// their caller at once. `weirbench webhooks` and `weirbench growth` measure beside a
// floor.
func (h Bench) Run(b *testing.B) {
	s := h.Open(b)
	con, err := s.EnsureConnection(b.Context(), store.Connection{Project: "default", Name: "bench", Connector: "bench", Type: "source"})
	require.NoError(b, err)
	first, err := s.Commit(b.Context(), benchUnit(con.ID, Epoch(s, con.ID), "first"))
	require.NoError(b, err)
	require.NoError(b, s.Close())
	if *benchKeys > 0 && !first.DuplicateDelivery {
		h.Fill(b, *benchKeys)
	}
	h.Poison(b)
	for round := range *benchRounds {
		salt := fmt.Sprintf("%s-%d", store.NewCommitID(), round)
		b.Run(fmt.Sprintf("keys=%d/good/%d", *benchKeys, round), func(b *testing.B) { h.commits(b, con.ID, salt, false) })
		b.Run(fmt.Sprintf("keys=%d/faults/%d", *benchKeys, round), func(b *testing.B) { h.commits(b, con.ID, salt+"f", true) })
	}
}

var benchPayload = []byte(`"` + string(bytes.Repeat([]byte("x"), 1022)) + `"`)

func benchUnit(connectionID string, epoch int64, id string) store.Unit {
	return store.Unit{
		ID: store.NewCommitID(), ConnectionID: connectionID, Epoch: epoch, At: time.Now(),
		Emissions: []ingest.Emission{{
			Stream: "s", Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey("cus_"+id, "1"), Payload: benchPayload,
		}},
		Reserve: &store.DeliveryKey{Endpoint: "bench", Key: id, DeliveryID: "dlv_" + id},
		Streams: []store.StreamWrite{{Stream: "s", Succeeded: true}},
	}
}

func (h Bench) commits(b *testing.B, connectionID, salt string, faults bool) {
	s := h.Open(b)
	h.spread(b, func(i int) error {
		u := benchUnit(connectionID, Epoch(s, connectionID), salt+strconv.Itoa(i))
		ctx := b.Context()
		switch {
		case faults && i%100 == 50:
			u.Emissions[0].Type = PoisonType
		case faults && i%100 == 99:
			leaving, leave := context.WithCancel(ctx)
			time.AfterFunc(50*time.Microsecond, leave)
			ctx = leaving
		}
		_, err := s.Commit(ctx, u)
		if faults && (errors.Is(err, store.ErrInvalid) || errors.Is(err, context.Canceled)) {
			return nil
		}
		return err
	})
	stats := s.Stats()
	b.ReportMetric(float64(stats.Units)/float64(max(stats.Batches, 1)), "units/batch")
	require.NoError(b, s.Close())
}

// spread calls f b.N times from the writers, and reports the rate and what was used.
func (h Bench) spread(b *testing.B, f func(i int) error) {
	used := func() map[string]float64 {
		all := map[string]float64{}
		if h.Used != nil {
			all = h.Used(b)
		}
		all["cpu-µs/unit"] = cpuSeconds(b) * 1e6
		return all
	}
	var next atomic.Int64
	var writers sync.WaitGroup
	errs := make(chan error, *benchWriters)
	before := used()
	b.ResetTimer()
	start := time.Now()
	for range *benchWriters {
		writers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	writers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "units/s")
	for unit, after := range used() {
		b.ReportMetric((after-before[unit])/float64(b.N), unit)
	}
	close(errs)
	require.NoError(b, <-errs)
}

// cpuSeconds is what the process has used. Unlike the rate it says something on
// a machine that others use too.
func cpuSeconds(b *testing.B) float64 {
	var r syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}
