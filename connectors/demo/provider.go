package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/httpguard"
)

// Config says how a [Provider] behaves. The zero value is ready for use.
type Config struct {
	// Seed decides what happens. Object ids hold it, so providers of distinct
	// seeds share none.
	Seed uint64
	// Clock is the provider's time. The default is time.Now.
	Clock func() time.Time
	// APIKey, if set, is what the API and its callers share.
	APIKey string
	// Customers and Orders are how many there are at the start. The defaults
	// are 25 and 60; negative means none.
	Customers, Orders int
	// Changes is how many things happen in a step. The default is 3.
	Changes int
	// MaxObjects bounds each kind. When it is reached, deleted objects are
	// re-created instead of new ones. The default is 300.
	MaxObjects int
	// DoublePercent of the webhooks are sent twice, and LatePercent some steps
	// late. The defaults are 0.
	DoublePercent, LatePercent int
	// Client sends the webhooks. The default reaches loopback addresses only.
	Client *http.Client
}

func (c Config) withDefaults() Config {
	c.Customers, c.Orders = max(cmp.Or(c.Customers, 25), 0), max(cmp.Or(c.Orders, 60), 0)
	c.Changes, c.MaxObjects = cmp.Or(c.Changes, 3), cmp.Or(c.MaxObjects, 300)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Client == nil {
		c.Client = loopbackClient(httpguard.New(httpguard.Config{AllowLoopback: true}))
	}
	return c
}

// loopbackClient returns the client that sends webhooks. It follows no redirect:
// that is no receipt.
func loopbackClient(guard *httpguard.Guard) *http.Client {
	client := guard.Client([]string{"127.0.0.1", "::1", "localhost"})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// Provider is the demo shop. It is safe for concurrent use.
type Provider struct {
	config Config

	mu     sync.Mutex
	random *rand.Rand
	last   time.Time // the newest time that was given to a change
	shelf  map[kind]*shelf
	step   int
	events int
	outbox outbox
}

type kind string

const (
	kindCustomer kind = "customer"
	kindOrder    kind = "order"
)

// shelf holds all objects of one kind, in the order of their creation.
type shelf struct {
	objects []*entity
	byID    map[string]*entity
}

// entity is one object with its states, of which the last is the present one.
type entity struct {
	id        string
	version   int64
	createdAt time.Time
	updatedAt time.Time
	deleted   bool
	state     map[string]any
	previous  map[string]any
	body      []byte // as it is served; of a deleted object, its tombstone
}

// NewProvider returns a shop with its first customers and orders.
func NewProvider(config Config) *Provider {
	config = config.withDefaults()
	p := &Provider{
		config: config,
		random: rand.New(rand.NewPCG(config.Seed, 0)), //nolint:gosec // the demo is meant to be repeatable
		shelf: map[kind]*shelf{
			kindCustomer: {byID: map[string]*entity{}}, kindOrder: {byID: map[string]*entity{}},
		},
	}
	for range config.Customers {
		p.create(kindCustomer)
	}
	for range config.Orders {
		p.create(kindOrder)
	}
	return p
}

// State returns the payload of every object that is not deleted, by stream and
// id: what a receiver of the stream must end with.
func (p *Provider) State() map[string]map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := map[string]map[string]string{}
	for stream, k := range map[string]kind{"customers": kindCustomer, "orders": kindOrder} {
		state[stream] = map[string]string{}
		for _, e := range p.shelf[k].objects {
			if !e.deleted {
				state[stream][e.id] = string(e.body)
			}
		}
	}
	return state
}

// change is one thing that may happen in a step. It reports whether it did.
type change struct {
	weight int
	kind   kind
	apply  func(*Provider, kind) bool
}

// changes is what happens in the shop and how often.
var changes = [...]change{
	{12, kindCustomer, (*Provider).create},
	{22, kindCustomer, (*Provider).update},
	{6, kindCustomer, (*Provider).revert},
	{5, kindCustomer, (*Provider).remove},
	{3, kindCustomer, (*Provider).restore},
	{18, kindOrder, (*Provider).create},
	{22, kindOrder, (*Provider).update},
	{5, kindOrder, (*Provider).revert},
	{5, kindOrder, (*Provider).remove},
	{2, kindOrder, (*Provider).restore},
}

// mutate makes the changes of one step. While too many webhooks wait, orders
// rest: a deletion that nobody is told of would be lost.
func (p *Provider) mutate() {
	total := 0
	for _, c := range changes {
		total += c.weight
	}
	for range p.config.Changes {
		draw := p.random.IntN(total)
		for _, c := range changes {
			if draw -= c.weight; draw >= 0 {
				continue
			}
			if c.kind == kindOrder && p.outbox.full() {
				break
			}
			if !c.apply(p, c.kind) {
				p.create(c.kind)
			}
			break
		}
	}
}

func (p *Provider) create(k kind) bool {
	s := p.shelf[k]
	if len(s.objects) >= p.config.MaxObjects {
		return p.restore(k) || p.update(k)
	}
	e := &entity{id: fmt.Sprintf("%.3s_%s_%04d", k, strconv.FormatUint(p.config.Seed, 36), len(s.objects)+1)}
	s.objects = append(s.objects, e)
	s.byID[e.id] = e
	e.createdAt = p.commit(k, e, "created", p.fresh(k))
	return true
}

func (p *Provider) update(k kind) bool {
	e := p.pick(k, false)
	if e == nil {
		return false
	}
	state, fresh := maps.Clone(e.state), p.fresh(k)
	// In the order of their names: a seed must draw the same every time.
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		if p.random.IntN(2) == 0 && name != "customer" {
			state[name] = fresh[name]
		}
	}
	p.commit(k, e, "updated", state)
	return true
}

// revert takes an object back to what it was before its last change.
func (p *Provider) revert(k kind) bool {
	e := p.pick(k, false)
	if e == nil || e.previous == nil {
		return false
	}
	p.commit(k, e, "updated", e.previous)
	return true
}

func (p *Provider) remove(k kind) bool {
	e := p.pick(k, false)
	if e == nil {
		return false
	}
	e.deleted = true
	p.commit(k, e, "deleted", e.state)
	return true
}

// restore creates a deleted object again, under its id.
func (p *Provider) restore(k kind) bool {
	e := p.pick(k, true)
	if e == nil {
		return false
	}
	e.deleted = false
	p.commit(k, e, "created", e.state)
	return true
}

func (p *Provider) pick(k kind, deleted bool) *entity {
	candidates := slices.DeleteFunc(slices.Clone(p.shelf[k].objects), func(e *entity) bool { return e.deleted != deleted })
	if len(candidates) == 0 {
		return nil
	}
	return candidates[p.random.IntN(len(candidates))]
}

// commit gives the object its next version and tells about it.
func (p *Provider) commit(k kind, e *entity, verb string, state map[string]any) time.Time {
	// Times never repeat, so that the order of changes is that of their times.
	now := p.config.Clock().UTC().Truncate(time.Microsecond)
	if !now.After(p.last) {
		now = p.last.Add(time.Microsecond)
	}
	p.last = now
	e.version++
	e.updatedAt, e.previous, e.state = now, e.state, state
	e.createdAt = cmp.Or(e.createdAt, now)
	body := map[string]any{"id": e.id, "object": k, "version": e.version, "updated_at": now}
	if e.deleted {
		body["deleted"] = true
	} else {
		body["created_at"] = e.createdAt
		maps.Copy(body, state)
	}
	e.body = encode(body)
	if k == kindOrder && p.step > 0 { // not about what the shop began with
		p.events++
		id := fmt.Sprintf("evt_%s_%06d", strconv.FormatUint(p.config.Seed, 36), p.events)
		p.notify(id, encode(map[string]any{"id": id, "type": "order." + verb, "created_at": now, "data": json.RawMessage(e.body)}))
	}
	return now
}

func encode(v map[string]any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// Strings, numbers and times only.
		panic("demo: encode: " + err.Error())
	}
	return b
}

// fresh draws the fields of an object.
func (p *Provider) fresh(k kind) map[string]any {
	if k == kindOrder {
		customers := p.shelf[kindCustomer].objects
		customer := ""
		if len(customers) > 0 {
			customer = customers[p.random.IntN(len(customers))].id
		}
		return map[string]any{
			"customer": customer, "status": draw(p, "open", "paid", "shipped", "returned"),
			"amount": 100 * (1 + p.random.IntN(500)), "currency": draw(p, "EUR", "USD", "JPY"),
		}
	}
	first, last := draw(p, "Ada", "Grace", "Alan", "Edsger", "Barbara", "Ken"), draw(p, "Byron", "Hopper", "Turing", "Dijkstra", "Liskov", "Thompson")
	return map[string]any{
		"name": first + " " + last, "plan": draw(p, "free", "team", "business"), "city": draw(p, "Berlin", "Lagos", "Osaka", "Quito"),
	}
}

func draw(p *Provider, choices ...string) string { return choices[p.random.IntN(len(choices))] }
