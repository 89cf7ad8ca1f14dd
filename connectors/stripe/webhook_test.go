package stripe_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/stripe"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/ingest"
)

func event(id, kind, object string, at time.Time) string {
	return fmt.Sprintf(`{"id":%q,"object":"event","type":%q,"created":%d,"livemode":false,"data":{"object":%s}}`, id, kind, at.Unix(), object)
}

func deliver(t *testing.T, b *framework.Binding, body string) []ingest.Emission {
	t.Helper()
	emissions, err := b.Deliver(t.Context(), "stripe", &framework.Delivery{ID: "dlv_1", Key: "k", Body: []byte(body), ReceivedAt: start, Attempt: 1})
	require.NoError(t, err)
	return emissions
}

func TestSendsADeliveryToTheStreamsOfItsObject(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, stripe.Plugin, newStub(t, "sk_test_a").settings(), nil)
	for kind, c := range map[string]struct{ object, want string }{
		"customer.created":              {`{"object":"customer","id":"cus_1"}`, "customers upsert v/cus_1/evt_1"},
		"customer.updated":              {`{"object":"customer","id":"cus_1"}`, "customers upsert v/cus_1/evt_1"},
		"customer.deleted":              {`{"object":"customer","id":"cus_1"}`, "customers delete v/cus_1/evt_1"},
		"invoice.finalized":             {`{"object":"invoice","id":"in_1","status":"open"}`, "invoices upsert v/in_1/evt_1"},
		"invoice.paid":                  {`{"object":"invoice","id":"in_1","status":"paid"}`, "invoices upsert v/in_1/evt_1, payments upsert e/evt_1"},
		"invoice.deleted":               {`{"object":"invoice","id":"in_1","status":"draft"}`, "invoices delete v/in_1/evt_1"},
		"invoice.upcoming":              {`{"object":"invoice","status":"draft"}`, "events upsert e/evt_1"},
		"payout.paid":                   {`{"object":"payout","id":"po_1"}`, "payouts upsert v/po_1/evt_1"},
		"customer.subscription.deleted": {`{"object":"subscription","id":"sub_1"}`, "events upsert e/evt_1"},
		"charge.succeeded":              {`{"object":"charge","id":"ch_1"}`, "events upsert e/evt_1"},
		"balance.available":             {`{"object":"balance"}`, "events upsert e/evt_1"},
		"account.application.odd":       {`null`, "events upsert e/evt_1"},
	} {
		var got []string
		for _, e := range deliver(t, b, event("evt_1", kind, c.object, start)) {
			got = append(got, fmt.Sprintf("%s %s %s", e.Stream, e.Operation, e.Key.Text(1, [16]byte{})))
		}
		require.Equal(t, c.want, strings.Join(got, ", "), kind)
	}
}

func TestAPaymentSaysWhatWasPaid(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, stripe.Plugin, newStub(t, "sk_test_a").settings(), nil)
	object := `{"object":"invoice","id":"in_1","customer":"cus_1","amount_paid":9007199254740993,"currency":"eur","status":"paid","status_transitions":{"paid_at":1772366300}}`
	emissions := deliver(t, b, event("evt_1", "invoice.paid", object, start))
	require.Len(t, emissions, 2)
	require.Equal(t, object, string(emissions[0].Payload))
	require.JSONEq(t, `{"invoice":"in_1","customer":"cus_1","amount_paid":9007199254740993,"currency":"eur","paid_at":1772366300}`, string(emissions[1].Payload))
}

func TestRefusesForGoodWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, stripe.Plugin, newStub(t, "sk_test_a").settings(), nil)
	for _, body := range []string{
		``, `[]`, `{"id":"evt_1"`, `{"id":"evt_1","type":"ping"}`, `{"type":"customer.created","created":1}`,
		event("evt_1", "customer.updated", `{"object":"customer","id":"cus_1","created":"soon"}`, start),
	} {
		emissions, err := b.Deliver(t.Context(), "stripe", &framework.Delivery{Body: []byte(body)})
		require.Equal(t, framework.ClassPermanent, framework.ClassOf(err), body)
		require.Empty(t, emissions)
	}
}

func TestAPollAfterAWebhookOfTheSameStateAddsNothing(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.add("customer", "cus_1", start.Add(-time.Minute), "")
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.NewLog()
	log.Commit(deliver(t, b, event("evt_1", "customer.created", s.state("customer")["cus_1"], start.Add(-time.Minute))), start)
	read(t, b, log, connectortest.Sync{Stream: "customers"})
	require.Len(t, log.Events("customers"), 1)
}

func TestAChangeInTheSecondOfTheReadIsNewerThanTheRead(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.add("customer", "cus_1", start.Add(-time.Minute), "before")
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	s.advance(950 * time.Millisecond) // the answer will be dated in the next second
	page := connectortest.Run(t, b, connectortest.Sync{Stream: "customers"})[0]
	s.advance(20 * time.Millisecond)
	s.set("customer", "cus_1", "after")
	log := connectortest.NewLog()
	log.Commit(deliver(t, b, event("evt_1", "customer.updated", s.state("customer")["cus_1"], s.now)), s.now)
	log.Commit(page.Emissions, page.At)
	connectortest.RequireState(t, s.state("customer"), log.State("customers"))
}

// The provider creates, changes and deletes; polls are read at any moment and
// committed later; webhooks are doubled and come in any order. Whatever
// happens, the receiver ends with the provider's state.
func TestEndsWithTheProvidersStateHoweverPollsAndWebhooksInterleave(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, seed)
			for range 80 {
				m.step()
			}
			m.settle()
			connectortest.RequireState(t, m.stub.state("customer"), m.log.State("customers"))
			connectortest.RequireState(t, m.stub.state("invoice"), m.log.State("invoices"))
		})
	}
}

type model struct {
	t       *testing.T
	random  *rand.Rand
	stub    *stub
	binding *framework.Binding
	log     *connectortest.Log
	waiting [][]ingest.Emission // read or received, and not committed yet
	cursors map[string][]byte
	events  int
	changed map[string]int64 // the second of a customer's last change
	stages  map[string]int   // of invoices
}

func newModel(t *testing.T, seed uint64) *model {
	s := newStub(t, "sk_test_a")
	return &model{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), stub: s, log: connectortest.NewLog(),
		binding: connectortest.Open(t, stripe.Plugin, s.settings(), s.Client()),
		cursors: map[string][]byte{}, changed: map[string]int64{}, stages: map[string]int{},
	}
}

func (m *model) step() {
	m.stub.advance(time.Duration(m.random.IntN(700)) * time.Millisecond)
	id := fmt.Sprintf("%d", m.random.IntN(4))
	switch m.random.IntN(6) {
	case 0, 1:
		m.customer("cus_" + id)
	case 2, 3:
		m.invoice("in_" + id)
	case 4:
		stream := []string{"customers", "invoices"}[m.random.IntN(2)]
		for _, p := range connectortest.Run(m.t, m.binding, connectortest.Sync{Stream: stream, Cursor: m.cursors[stream]}) {
			m.cursors[stream] = p.Cursor
			m.log.Commit(nil, p.At)
			m.waiting = append(m.waiting, p.Emissions)
		}
	case 5:
		m.commitOne()
	}
}

// customer creates, changes or deletes a customer, once a second: Stripe gives
// two changes of one second no order.
func (m *model) customer(id string) {
	now := m.stub.now
	if m.changed[id] == now.Unix() {
		return
	}
	m.changed[id] = now.Unix()
	before, exists := m.stub.state("customer")[id]
	switch {
	case exists && m.random.IntN(5) == 0:
		m.stub.remove("customer", id)
		m.send("customer.deleted", before)
	case exists:
		m.stub.set("customer", id, fmt.Sprint(m.random.IntN(3))) // also back to a former state
		m.send("customer.updated", m.stub.state("customer")[id])
	default:
		m.stub.add("customer", id, now, "0")
		m.send("customer.created", m.stub.state("customer")[id])
	}
}

// invoice takes an invoice one stage further, also several in one second.
func (m *model) invoice(id string) {
	stages := []string{"draft", "open", "paid"}
	stage, exists := m.stages[id]
	switch {
	case !exists:
		m.stub.add("invoice", id, m.stub.now, stages[0])
		m.stages[id] = 0
		m.send("invoice.created", m.stub.state("invoice")[id])
	case stage+1 < len(stages):
		m.stages[id]++
		m.stub.set("invoice", id, stages[stage+1])
		m.send("invoice.updated", m.stub.state("invoice")[id])
	}
}

func (m *model) send(kind, object string) {
	m.events++
	emissions := deliver(m.t, m.binding, event(fmt.Sprintf("evt_%d", m.events), kind, object, m.stub.now))
	for range 1 + m.random.IntN(2) {
		m.waiting = append(m.waiting, emissions)
	}
}

func (m *model) commitOne() {
	if len(m.waiting) == 0 {
		return
	}
	i := m.random.IntN(len(m.waiting))
	m.log.Commit(m.waiting[i], m.stub.now)
	m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
}

func (m *model) settle() {
	for len(m.waiting) > 0 {
		m.commitOne()
	}
}
