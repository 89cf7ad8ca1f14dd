package modeltest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/connectors/demo"
	"github.com/weirhq/weir/ingest"
)

// demoStory is the demo shop with its connector: versions, times that never
// repeat, customers that leave tombstones, and orders that vanish.
type demoStory struct {
	*world
	shop   *demo.Provider
	direct *direct
}

func newDemoStory(t *rapid.T, dir string, seen tally) *demoStory {
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	c := newClock()
	d := &direct{read: readOrderEvent}
	config := demo.Config{
		Seed: uint64(rapid.IntRange(0, 1<<20).Draw(t, "seed")), Clock: c.Now,
		Customers: rapid.IntRange(-1, 8).Draw(t, "customers"), Orders: rapid.IntRange(-1, 8).Draw(t, "orders"), Changes: 1,
		MaxObjects: 12, DoublePercent: 20, LatePercent: 30, Client: &http.Client{Transport: d},
	}
	if config.Customers == 0 || config.Orders == 0 { // 0 means the default
		config.Customers, config.Orders = max(config.Customers, 1), max(config.Orders, 1)
	}
	s := &demoStory{shop: demo.NewProvider(config), direct: d}
	s.world = newWorld(t, dir, seen, c, shape{
		plugin: demo.Plugin, endpoint: demo.Inbox, secret: secret,
		settings: map[string]any{"base_url": "http://shop.test", "webhook_secret": secret},
		polled:   []string{demo.Customers.Key(), demo.Orders.Key()}, hooked: []string{demo.OrderEvents.Key()},
		beginning: `{"watermark":"0001-01-01T00:00:00Z","as_of":"0001-01-01T00:00:00Z","after":""}`,
		api:       s.shop, pageSize: rapid.IntRange(1, 5).Draw(t, "page size"),
	})
	d.mail = &s.mail
	require.NoError(t, s.shop.SetWebhook("http://weir.test/webhooks/shop/"+demo.Inbox.Path(), secret))
	return s
}

func readOrderEvent(id string, body []byte) (*letter, error) {
	var e struct {
		Type string `json:"type"`
		Data struct {
			ID      string `json:"id"`
			Version int64  `json:"version"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	return &letter{id: id, body: body, entity: e.Data.ID, version: e.Data.Version, verb: strings.TrimPrefix(e.Type, "order.")}, nil
}

// step draws some changes of the shop, and whether its webhooks go through.
func (s *demoStory) step(t *rapid.T) func() {
	changes := rapid.IntRange(1, 4).Draw(t, "changes")
	wait := rapid.IntRange(0, 90).Draw(t, "seconds")
	open := rapid.IntRange(0, 3).Draw(t, "webhooks go through") == 3
	return func() {
		s.clock.advance(time.Duration(wait) * time.Second)
		s.direct.open = open
		for range changes {
			if err := s.shop.Step(context.Background()); err != nil {
				s.complain("step: %w", err)
			}
		}
	}
}

// lostDeletions are the orders of which the receiver cannot know that they are
// gone: only a webhook says so, it was acknowledged, and what it brought went
// away with a restore or a deleted connection.
func (s *demoStory) lostDeletions() map[string]bool {
	lost := map[string]bool{}
	known := s.memory.webhooks(s.connection.ID)
	for id, last := range s.mail.latest() {
		if last.verb == "deleted" && !known[last.id] {
			require.True(s.t, s.mail.arrived[last.id], "webhook %s never arrived", last.id)
			lost[id] = true
		}
	}
	return lost
}

func (s *demoStory) end() {
	require.NoError(s.t, s.shop.Drain(context.Background()))
	s.quiesce()
	for _, stream := range s.polled {
		s.finish(stream) // what was going on
		s.finish(stream) // and what happened since
	}
	s.readAll()

	truth, lost := s.shop.State(), s.lostDeletions()
	for _, stream := range s.polled {
		have := s.reader.state[stream]
		for _, id := range differences(truth[stream], have) {
			if stream == demo.Orders.Key() && lost[id] {
				s.seen[seenExcused]++
				continue // readAll has held it against what survived
			}
			s.t.Fatalf("%s of %s differs\nprovider: %s\nreceiver: %s\n%s", id, stream, truth[stream][id], have[id], s.reader.history(stream, id))
		}
	}

	// Every webhook that was not lost is there: the fact once, and the version.
	events, orders := s.reader.keys[demo.OrderEvents.Key()], s.reader.keys[demo.Orders.Key()]
	known := s.memory.webhooks(s.connection.ID)
	for id, l := range s.mail.sent {
		if !known[id] {
			s.seen[seenLost]++
		}
		key := ingest.EventKey(id).Text(0, [16]byte{})
		if events[key] != known[id] {
			s.t.Fatalf("webhook %s: in order_events %t, to be there %t\n%s", id, events[key], known[id], s.reader.history(demo.Orders.Key(), l.entity))
		}
		version := ingest.VersionKey(l.entity, strconv.FormatInt(l.version, 10)).Text(0, [16]byte{})
		if known[id] && !orders[version] {
			s.t.Fatalf("webhook %s: version %d of %s is not in orders\n%s", id, l.version, l.entity, s.reader.history(demo.Orders.Key(), l.entity))
		}
	}
	require.Len(s.t, events, len(known), "webhooks that were never sent")
}

func tellDemo(rt *rapid.T, dir string, seen tally) {
	s := newDemoStory(rt, dir, seen)
	defer s.close()
	rt.Repeat(s.actions(s.step))
	s.end()
}

func TestAReceiverEndsWithTheStateOfAShopWithVersions(t *testing.T) {
	t.Parallel()
	tell(t, tellDemo)
}

func TestAReceiverEndsWithTheStateOfAShopWithVersionsLong(t *testing.T) {
	t.Parallel()
	tellMore(t, tellDemo)
}
