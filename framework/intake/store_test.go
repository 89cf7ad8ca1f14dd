package intake

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// memory is a store of the part that intake uses, for tests that look at what
// was written or make the store fail. The same tests of meaning run on SQLite
// in sqlite_test.go.
type memory struct {
	mu     sync.Mutex
	units  []store.Unit
	keys   map[[3]string]string
	events map[[3]string]string
	rows   map[string]store.StoredDelivery
	// fail is asked before a unit is written.
	fail func(u store.Unit) error
	// lose is asked when a unit was written: the caller does not hear of it.
	lose func(u store.Unit) error
	// elsewhere says that another process has the leases.
	elsewhere bool
}

func newMemory() *memory {
	return &memory{keys: map[[3]string]string{}, events: map[[3]string]string{}, rows: map[string]store.StoredDelivery{}}
}

func (m *memory) Epoch(string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 7, !m.elsewhere
}

func (m *memory) Offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	return m.Commit(ctx, u)
}

func (m *memory) Commit(_ context.Context, u store.Unit) (store.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(u); err != nil {
			return store.Receipt{}, err
		}
	}
	first := ""
	for _, e := range u.Emissions {
		first = ingest.EventID(u.ConnectionID, e.Stream, e.Key.Text(0, [16]byte{}))
		break
	}
	if k := u.Reserve; k != nil {
		key := [3]string{u.ConnectionID, k.Endpoint, k.Key}
		if known, ok := m.keys[key]; ok {
			return store.Receipt{DuplicateDelivery: true, First: known}, nil
		}
		m.keys[key] = first
	}
	var r store.Receipt
	for _, e := range u.Emissions {
		key := [3]string{u.ConnectionID, e.Stream, e.Key.Text(0, [16]byte{})}
		_, known := m.events[key]
		if known {
			r.Duplicates++
		} else {
			r.Appended++
			m.events[key] = string(e.Payload)
		}
		r.Events = append(r.Events, store.EventReceipt{ID: ingest.EventID(key[0], key[1], key[2]), Duplicate: known})
	}
	if u.Keep != nil {
		m.rows[u.Keep.ID] = *u.Keep
	}
	delete(m.rows, u.Settle)
	m.units = append(m.units, u)
	if m.lose != nil {
		if err := m.lose(u); err != nil {
			return store.Receipt{}, err
		}
	}
	return r, nil
}

func (m *memory) StoredDeliveries(_ context.Context, connectionID string, dead bool, due time.Time, limit int) ([]store.StoredDelivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []store.StoredDelivery
	for _, row := range m.rows {
		if (connectionID == "" || row.ConnectionID == connectionID) && row.Dead == dead && !row.Kept && (dead || !row.NextAttemptAt.After(due)) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b store.StoredDelivery) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return rows[:min(limit, len(rows))], nil
}

func (m *memory) DeliveryCounts(context.Context, string) ([]store.DeliveryCount, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	by := map[string]store.DeliveryCount{}
	for _, row := range m.rows {
		if row.Kept {
			continue
		}
		c := by[row.ConnectionID]
		c.ConnectionID, c.Bytes = row.ConnectionID, c.Bytes+int64(len(row.Header)+len(row.Body))
		if row.Dead {
			c.Dead++
		} else {
			c.Waiting++
		}
		by[row.ConnectionID] = c
	}
	return slices.Collect(maps.Values(by)), nil
}

func (*memory) ClampDeliveries(context.Context, time.Time) (int, error) { return 0, nil }

func (*memory) TrimDeliveries(context.Context, string, time.Time, store.DeliveryBounds, int) (int, error) {
	return 0, nil
}

func (m *memory) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = func(store.Unit) error { return err }
	if err == nil {
		m.fail = nil
	}
}

// counts returns how many units, events and stored deliveries there are.
func (m *memory) counts() (units, events, rows int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.units), len(m.events), len(m.rows)
}

func (m *memory) row(t testing.TB) store.StoredDelivery {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rows) != 1 {
		t.Fatalf("there are %d stored deliveries, not one", len(m.rows))
	}
	for _, row := range m.rows {
		return row
	}
	panic("unreachable")
}

func (m *memory) lastUnit() store.Unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.units[len(m.units)-1]
}
