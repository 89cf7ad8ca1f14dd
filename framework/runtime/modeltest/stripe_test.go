package modeltest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/connectors/stripe"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/ingest"
)

// stripeStory is a till with the Stripe connector: customers by poll and by
// webhook, without versions and in whole seconds; invoices by poll alone.
type stripeStory struct {
	*world
	till *till
}

func newStripeStory(t *rapid.T, dir string, seen tally) *stripeStory {
	const secret = "whsec_0123456789abcdef"
	c := newClock()
	s := &stripeStory{till: newTill(c)}
	for _, kind := range []string{"customer", "invoice"} {
		for range rapid.IntRange(0, 5).Draw(t, kind+"s") {
			s.till.add(kind, time.Duration(rapid.IntRange(0, 150).Draw(t, "minutes ago"))*time.Minute)
		}
	}
	s.world = newWorld(t, dir, seen, c, shape{
		plugin: stripe.Plugin, endpoint: stripe.Inbox, secret: secret,
		settings: map[string]any{"api_key": "sk_test", "base_url": "http://till.test", "webhook_secret": secret},
		polled:   []string{stripe.Customers.Key(), stripe.Invoices.Key()}, ranged: []string{stripe.Customers.Key(), stripe.Invoices.Key()},
		hooked:    []string{stripe.Payments.Key(), stripe.Events.Key()},
		beginning: `{"watermark":0,"until":0,"after":"","after_created":0}`,
		api:       s.till, pageSize: rapid.IntRange(1, 4).Draw(t, "page size"),
	})
	s.till.post = s.mail.post
	return s
}

// step draws a change at the till and how long after the last one it happens:
// often within the same second, rarely after the poll's window has moved on.
func (s *stripeStory) step(t *rapid.T) func() {
	wait := rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, time.Second, 5 * time.Second, 50 * time.Minute}).Draw(t, "wait")
	c := tillChange{
		what:  rapid.SampledFrom([]string{"updated", "updated", "updated", "created", "deleted"}).Draw(t, "what"),
		kind:  rapid.SampledFrom([]string{"customer", "invoice"}).Draw(t, "kind"),
		index: rapid.IntRange(0, 5).Draw(t, "which"), state: rapid.IntRange(0, 2).Draw(t, "state"),
	}
	return func() {
		s.clock.advance(wait)
		s.till.make(c)
	}
}

// untold are the customers whose last state nobody told the receiver in a way
// that can be told from the one before: the last webhook was lost with a
// restore or a deleted connection, or came before another one of its second.
// A deletion is last in its second, and a creation first.
func (s *stripeStory) untold() map[string]bool {
	untold := map[string]bool{}
	known := s.memory.webhooks(s.connection.ID)
	order := s.memory.ledger(s.connection.ID).order
	for id, last := range s.mail.latest() {
		if !known[last.id] {
			require.True(s.t, s.mail.arrived[last.id], "webhook %s never arrived", last.id)
			untold[id] = true
			continue
		}
		for _, other := range s.mail.sent {
			tied := other.entity == id && other.second == last.second && other.verb == "updated" && last.verb == "updated"
			if tied && known[other.id] && order[key(other)] > order[key(last)] {
				untold[id] = true
			}
		}
	}
	return untold
}

// key is the text of the key that a customer's webhook gives.
func key(l *letter) string { return ingest.VersionKey(l.entity, l.id).Text(0, [16]byte{}) }

func (s *stripeStory) end() {
	s.quiesce()
	s.resumeBackfills()
	for _, b := range s.backfills() {
		if b.State == scheduler.BackfillDone {
			s.seen[seenFilled]++
		}
	}
	for _, stream := range s.polled {
		s.finish(stream) // what was going on
	}
	// Polled states are dated up to two seconds back. A poll after that is newer
	// than whatever was told.
	s.clock.advance(5 * time.Second)
	last := s.clock.Now()
	for _, stream := range s.polled {
		s.finish(stream)
	}
	s.readAll()

	untold := s.untold()
	for stream, kind := range map[string]string{stripe.Customers.Key(): "customer", stripe.Invoices.Key(): "invoice"} {
		truth, have := s.till.state(kind), s.reader.state[stream]
		for _, id := range differences(truth, have) {
			polled := s.till.servedSince(id, last)
			if !polled && (untold[id] || kind == "invoice" && truth[id] != "" && have[id] != "") {
				s.seen[seenExcused]++
				continue // readAll has held it against what was told
			}
			s.t.Fatalf("%s of %s differs (polled at the end: %t)\nprovider: %s\nreceiver: %s\n%s", id, stream, polled, truth[id], have[id], s.reader.history(stream, id))
		}
	}

	// Every webhook that was not lost is there once, and no other.
	customers, known := s.reader.keys[stripe.Customers.Key()], s.memory.webhooks(s.connection.ID)
	for id, l := range s.mail.sent {
		if !known[id] {
			s.seen[seenLost]++
		}
		if customers[key(l)] != known[id] {
			s.t.Fatalf("webhook %s: in customers %t, to be there %t\n%s", id, customers[key(l)], known[id], s.reader.history(stripe.Customers.Key(), l.entity))
		}
	}
	require.False(s.t, slices.ContainsFunc(s.hooked, func(stream string) bool { return len(s.reader.log[stream]) > 0 }))
}

func tellStripe(rt *rapid.T, dir string, seen tally) {
	s := newStripeStory(rt, dir, seen)
	defer s.close()
	rt.Repeat(s.actions(s.step))
	s.end()
}

func TestAReceiverEndsWithTheStateOfAProviderWithoutVersions(t *testing.T) {
	t.Parallel()
	tell(t, tellStripe, seenFilled, seenBeside)
}

func TestAReceiverEndsWithTheStateOfAProviderWithoutVersionsLong(t *testing.T) {
	t.Parallel()
	tellMore(t, tellStripe, seenFilled, seenBeside)
}
