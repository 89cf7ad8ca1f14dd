package modeltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// till is a provider of Stripe's shape. Its objects have no versions and no
// updated_at. Lists are newest first by creation, changes of customers are told
// by webhooks in whole seconds, and nobody tells of the changes of invoices.
type till struct {
	clock *clock
	post  func(*letter)

	mu      sync.Mutex
	objects map[string][]*tillObject // by kind, newest first
	made    int
	events  int
	// served is when an object was last listed.
	served map[string]time.Time
}

type tillObject struct {
	kind, id string
	created  int64
	state    int
	versions int64
}

// tillChange is one thing that happens: an object of kind is created, or the one
// at index takes a state, or is deleted.
type tillChange struct {
	what, kind   string
	index, state int
}

func newTill(c *clock) *till {
	return &till{clock: c, objects: map[string][]*tillObject{}, served: map[string]time.Time{}, post: func(*letter) {}}
}

func (o *tillObject) body() string {
	// Numbers above 2^53 and escapes must arrive as they were sent.
	return fmt.Sprintf(`{"id":%q,"object":%q,"created":%d,"status":"s%d","big":9007199254740993,"text":"a<b\u00e9"}`, o.id, o.kind, o.created, o.state)
}

// add makes an object that was created some time ago, of which no webhook tells.
func (p *till) add(kind string, ago time.Duration) *tillObject {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.insert(kind, p.clock.Now().Add(-ago).Unix())
}

func (p *till) insert(kind string, created int64) *tillObject {
	p.made++
	o := &tillObject{kind: kind, id: fmt.Sprintf("%.3s_%03d", kind, p.made), created: created}
	p.objects[kind] = append([]*tillObject{o}, p.objects[kind]...)
	slices.SortStableFunc(p.objects[kind], func(a, b *tillObject) int { return int(b.created - a.created) })
	return o
}

func (p *till) make(c tillChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	objects := p.objects[c.kind]
	if c.what == "created" {
		o := p.insert(c.kind, p.clock.Now().Unix())
		o.state = c.state
		p.tell(o, "created")
		return
	}
	if len(objects) == 0 {
		return
	}
	o := objects[c.index%len(objects)]
	switch {
	case c.what == "deleted" && c.kind == "customer": // invoices stay
		p.objects[c.kind] = slices.DeleteFunc(objects, func(other *tillObject) bool { return other == o })
		p.tell(o, "deleted")
	case o.state != c.state: // what changes nothing is no update
		o.state = c.state
		p.tell(o, "updated")
	}
}

func (p *till) tell(o *tillObject, verb string) {
	o.versions++
	if o.kind != "customer" {
		return
	}
	p.events++
	now := p.clock.Now().Unix()
	id := fmt.Sprintf("evt_%04d", p.events)
	body := fmt.Sprintf(`{"id":%q,"object":"event","type":"%s.%s","created":%d,"data":{"object":%s}}`, id, o.kind, verb, now, o.body())
	p.post(&letter{id: id, body: []byte(body), entity: o.id, version: o.versions, verb: verb, second: now})
}

// state is what the provider has of a kind.
func (p *till) state(kind string) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := map[string]string{}
	for _, o := range p.objects[kind] {
		state[o.id] = o.body()
	}
	return state
}

func (p *till) servedSince(id string, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.served[id].Before(at)
}

func (p *till) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Date", p.clock.Now().UTC().Format(http.TimeFormat))
	kind := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), "s")
	q := r.URL.Query()
	objects := p.objects[kind]
	if after := q.Get("starting_after"); after != "" {
		i := slices.IndexFunc(objects, func(o *tillObject) bool { return o.id == after })
		if i < 0 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error":{"code":"resource_missing","param":"starting_after","message":"No such object"}}`)
			return
		}
		objects = objects[i+1:]
	}
	from, until := number(q.Get("created[gte]"), 0), number(q.Get("created[lt]"), 1<<62)
	objects = slices.DeleteFunc(slices.Clone(objects), func(o *tillObject) bool { return o.created < from || o.created >= until })
	limit := int(number(q.Get("limit"), 10))
	page := []string{}
	for _, o := range objects[:min(limit, len(objects))] {
		p.served[o.id] = p.clock.Now()
		page = append(page, o.body())
	}
	// Indented, as Stripe's lists are. The encoder would change the escapes.
	var body bytes.Buffer
	list := fmt.Sprintf(`{"object":"list","data":[%s],"has_more":%t}`, strings.Join(page, ","), len(objects) > limit)
	if err := json.Indent(&body, []byte(list), "", "  "); err != nil {
		panic(err)
	}
	_, _ = w.Write(body.Bytes())
}

func number(s string, fallback int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fallback
	}
	return n
}
