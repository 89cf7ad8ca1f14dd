package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Store is what a [Keeper] needs of a store.
type Store interface {
	// Epoch is that of the lease on the connection; ok is false without one.
	Epoch(connectionID string) (epoch int64, ok bool)
	// Commit records u durably.
	Commit(ctx context.Context, u store.Unit) (store.Receipt, error)
}

const (
	statePrefix = "budget/"
	// saveEvery is how often what was used and learnt is stored, but for the calls
	// of declared rates, which are stored before they are made: see [advance].
	saveEvery   = 5 * time.Second
	saveTimeout = 10 * time.Second
)

// Keeper holds the budgets of a process.
type Keeper struct {
	store Store
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	budgets map[string]*shared
}

// shared is a budget with the connections that take from it.
type shared struct {
	*Budget
	name        string
	connections map[string]bool
	configured  bool
	// turn is held by the one who stores an advance.
	turn chan struct{}
}

// NewKeeper returns a keeper without budgets.
func NewKeeper(s Store, log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{store: s, log: log, now: time.Now, budgets: map[string]*shared{}}
}

// ErrRates says that connections of one budget are configured with different rates.
var ErrRates = errors.New("connections that share a budget must have the same rate_limit")

// Open returns the budget of a connection. All connections of a project that
// give the same name have the same budget; without a name it is the connection's
// own. Where several processes share the store, a named budget is one of all of
// them. Its rate is the configured one, which all that share it must agree on, or
// else the strictest of those that their connectors declare. What was used before
// is not known until [Keeper.Recall].
func (k *Keeper) Open(project, connectionID, name string, configured, declared Rate) (*Budget, error) {
	key, stored := "connection/"+connectionID, statePrefix+"own"
	if name != "" {
		key, stored = "project/"+project+"/"+name, statePrefix+"shared/"+name
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.budgets[key]
	if b == nil {
		b = &shared{Budget: New(Rate{}, k.now), name: stored, connections: map[string]bool{}, turn: make(chan struct{}, 1)}
		if l, ok := k.store.(store.Ledger); ok && name != "" {
			b.ledger = newLedger(l, statePrefix+key, k.log)
		} else {
			one := b
			b.cover = func(ctx context.Context) { k.cover(ctx, one) }
		}
		k.budgets[key] = b
	}
	b.connections[connectionID] = true
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.connections) == 1 {
		b.rate, b.configured = Rate{}, false // nobody else has a say: a new revision may have another one
	}
	switch {
	case !configured.IsZero() && b.configured && configured != b.rate:
		return nil, fmt.Errorf("%w: budget %q has %s and %s", ErrRates, name, b.rate, configured)
	case !configured.IsZero():
		b.rate, b.configured = configured, true
	case !b.configured && declared.Every() > b.rate.Every():
		b.rate = declared
	}
	return b.Budget, nil
}

// Recall adds what a connection's states say of its budget: what was used by the
// last process, or by the node that had the connection before.
func (k *Keeper) Recall(connectionID string, states []store.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range states {
		if s.ConnectionID != connectionID || !strings.HasPrefix(s.Name, statePrefix) {
			continue
		}
		if own := k.budgets["connection/"+connectionID]; own != nil {
			own.mu.Lock()
			if own.name == s.Name {
				own.merge(s.Value)
			}
			own.mu.Unlock()
			continue
		}
		for _, b := range k.budgets { // few are shared
			if b.name == s.Name && b.connections[connectionID] {
				b.mu.Lock()
				b.merge(s.Value)
				b.mu.Unlock()
			}
		}
	}
}

// Leave stores what a connection has used, before its lease moves to another
// node. The budget stays that of its client.
func (k *Keeper) Leave(ctx context.Context, connectionID string) { k.save(ctx, connectionID) }

// Run stores what is used until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.Save(ctx)
		}
	}
}

// Save stores what has changed since the last time. What cannot be stored now is
// stored later.
func (k *Keeper) Save(ctx context.Context) {
	k.save(ctx, "")
	k.mu.Lock()
	var shared []*Budget
	for _, b := range k.budgets {
		if b.ledger != nil {
			shared = append(shared, b.Budget)
		}
	}
	k.mu.Unlock()
	for _, b := range shared {
		b.ledger.flush(ctx, b.Rate())
	}
}

// save stores the budgets that have changed, of one connection or of all for "".
func (k *Keeper) save(ctx context.Context, only string) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	k.mu.Lock()
	var wanted []*shared
	for _, b := range k.budgets {
		if only == "" || b.connections[only] {
			wanted = append(wanted, b)
		}
	}
	k.mu.Unlock()
	var group sync.WaitGroup
	for _, b := range wanted {
		if b.settled() {
			continue
		}
		group.Go(func() {
			b.alone(ctx, func() {
				k.keep(ctx, b, b.changed(), false)
			})
		})
	}
	group.Wait()
}

// alone runs f while nobody else stores the budget: of two that do, the one that
// knows less could be the last. f is not run when ctx ends before.
func (b *shared) alone(ctx context.Context, f func()) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
		f()
	case <-ctx.Done():
	}
}

// keep stores a budget, and has it note what became of that. value is nil for one
// that is stored already.
func (k *Keeper) keep(ctx context.Context, b *shared, value []byte, first bool) {
	switch {
	case value == nil:
	case k.put(ctx, b, value, first):
		b.stored()
	default:
		b.uncovered()
	}
}

// put stores a budget at its connections that this process has, or at the first of
// them. It reports whether it is stored wherever it can be.
func (k *Keeper) put(ctx context.Context, b *shared, value []byte, first bool) bool {
	k.mu.Lock()
	ids := slices.Sorted(maps.Keys(b.connections))
	k.mu.Unlock()
	var units []store.Unit
	for _, id := range ids {
		epoch, held := k.store.Epoch(id)
		if !held || first && len(units) > 0 {
			continue
		}
		units = append(units, store.Unit{
			ID: store.NewCommitID(), ConnectionID: id, Epoch: epoch, At: k.now(), State: []store.StateWrite{{Name: b.name, Value: value}},
		})
	}
	var failed atomic.Bool
	var group sync.WaitGroup
	for _, u := range units {
		group.Go(func() {
			_, err := k.store.Commit(ctx, u)
			if err == nil || errors.Is(err, store.ErrFenced) {
				return
			}
			failed.Store(true)
			if ctx.Err() == nil {
				k.log.Warn("rate budget could not be stored", "connection", u.ConnectionID, "err", err)
			}
		})
	}
	group.Wait()
	return !failed.Load()
}

// saved is a budget as it is stored.
type saved struct {
	Rate  string              `json:"rate,omitempty"`
	Part  int64               `json:"part,omitempty"`
	Used  []int               `json:"used,omitempty"` // oldest first
	Hosts map[string]*learned `json:"hosts,omitempty"`
}

// settled reports that the budget is stored as it is.
func (b *Budget) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.dirty
}

// changed returns the budget as it is stored, without an advance, or nil when it is
// stored already.
func (b *Budget) changed() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty {
		return nil
	}
	b.dirty, b.ahead = false, advance{storing: true}
	return encode(b.saved())
}

// saved is the budget as it is stored. The lock is held.
func (b *Budget) saved() saved {
	s := saved{Rate: b.rate.String(), Hosts: b.hosts}
	if !b.rate.IsZero() {
		s.Part = b.part
		for age := int64(parts); age >= 0; age-- {
			s.Used = append(s.Used, b.used[mod(b.part-age)])
		}
	}
	return s
}

// merge takes over a stored budget where it knows more. The lock is held.
func (b *Budget) merge(value []byte) {
	var s saved
	if json.Unmarshal(value, &s) != nil {
		return // of another version
	}
	if !b.rate.IsZero() && s.Rate == b.rate.String() && len(s.Used) == parts+1 {
		b.turn(b.now())
		for i, n := range s.Used {
			part := s.Part - parts + int64(i)
			if age := b.part - part; age >= 0 && age <= parts {
				b.used[mod(part)] = max(b.used[mod(part)], n)
			} else if age < 0 { // the clock was set back: as if it were now
				b.used[mod(b.part)] += n
			}
		}
	}
	for host, l := range s.Hosts {
		if l == nil || strings.TrimSpace(host) == "" {
			continue
		}
		if known := b.hosts[host]; known == nil || known.Until.Before(l.Until) || known.Blocked.Before(l.Blocked) {
			if known != nil || len(b.hosts) < mostHosts {
				b.hosts[host] = l
			}
		}
	}
}
