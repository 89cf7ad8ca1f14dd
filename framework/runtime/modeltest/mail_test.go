package modeltest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/weirhq/weir/framework/webhook"
)

// letter is a webhook with what the story knows of it.
type letter struct {
	id   string
	body []byte
	// entity and version are what it is about, and verb is what happened to it. Of
	// two letters about an entity the higher version happened later.
	entity  string
	version int64
	verb    string
	// second is when it happened, where the provider tells no finer time.
	second int64
}

// mail holds the webhooks that have not arrived.
type mail struct {
	world   *world
	waiting []*letter
	// sent are all webhooks there ever were, by id.
	sent map[string]*letter
	// arrived are those that were acknowledged at least once.
	arrived map[string]bool
}

func (m *mail) post(l *letter) {
	if m.sent == nil {
		m.sent, m.arrived = map[string]*letter{}, map[string]bool{}
	}
	m.sent[l.id] = l
	m.waiting = append(m.waiting, l)
}

// latest is the last webhook about each entity.
func (m *mail) latest() map[string]*letter {
	latest := map[string]*letter{}
	for _, l := range m.sent {
		if have := latest[l.entity]; have == nil || have.version < l.version {
			latest[l.entity] = l
		}
	}
	return latest
}

// deliver brings the letter at index. It stays in the mail until it was
// acknowledged, and after that if a copy is asked for.
func (m *mail) deliver(index int, keepCopy bool) {
	if len(m.waiting) == 0 {
		return
	}
	l := m.waiting[index%len(m.waiting)]
	// A sender signs each attempt anew.
	header, err := webhook.Sign(m.world.endpoint.Spec(), m.world.secret, m.world.clock.Now(), l.id, l.body)
	if err != nil {
		m.world.complain("sign webhook: %w", err)
		return
	}
	if m.arrive(l.id, header, l.body) && !keepCopy {
		if i := slices.Index(m.waiting, l); i >= 0 {
			m.waiting = slices.Delete(m.waiting, i, i+1)
		}
	}
}

func (m *mail) deliverAll() {
	for tries := 0; len(m.waiting) > 0; tries++ {
		if tries > 10_000 {
			m.world.t.Fatal("the mail does not end")
		}
		m.deliver(0, false)
		m.world.check()
	}
}

// arrive hands one request to the intake and says whether it was acknowledged.
func (m *mail) arrive(id string, header http.Header, body []byte) bool {
	w := m.world
	r := httptest.NewRequest(http.MethodPost, "/webhooks/shop/"+w.endpoint.Path(), bytes.NewReader(body))
	r.Header = header
	answer := httptest.NewRecorder()
	w.store.written, w.store.duplicate = false, false
	w.intake.ServeHTTP(answer, r)
	known := w.memory.webhooks(w.connection.ID)
	if w.store.duplicate && !known[id] && !w.store.written {
		w.complain("webhook %s was called a duplicate, and nothing of it is in the store", id)
	}
	if w.store.written {
		known[id] = true
	}
	if answer.Code == http.StatusServiceUnavailable {
		return false
	}
	if answer.Code != http.StatusOK {
		w.complain("webhook %s was answered %d: %s", id, answer.Code, answer.Body)
		return false
	}
	if !known[id] {
		w.complain("webhook %s was acknowledged, and nothing of it is in the store", id)
	}
	m.arrived[id] = true
	return true
}

// direct carries a provider's own requests: into the mail, or at once to the
// intake when open.
type direct struct {
	read func(id string, body []byte) (*letter, error)
	mail *mail
	open bool
}

func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	id := r.Header.Get("Webhook-Id")
	l, err := d.read(id, body)
	if err != nil {
		return nil, err
	}
	answer := httptest.NewRecorder()
	if d.mail.sent[id] == nil || !d.open {
		d.mail.post(l)
	}
	if d.open && d.mail.arrive(id, r.Header.Clone(), body) {
		if i := slices.IndexFunc(d.mail.waiting, func(w *letter) bool { return w.id == id }); i >= 0 {
			d.mail.waiting = slices.Delete(d.mail.waiting, i, i+1)
		}
	}
	answer.WriteHeader(http.StatusOK)
	response := answer.Result()
	response.Request = r
	return response, nil
}
