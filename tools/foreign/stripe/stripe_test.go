package stripe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v84/webhook"

	"github.com/weirhq/weir/connectors/stripe"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/tools/foreign/receiver"
)

const webhookSecret = "whsec_of_the_endpoint_0123456789"

func settings(m *mock) map[string]any {
	return map[string]any{"api_key": apiKey, "base_url": m.URL, "api_version": "2025-09-30.clover", "webhook_secret": webhookSecret}
}

func read(t *testing.T, b *framework.Binding, log *connectortest.Log, s connectortest.Sync) []byte {
	t.Helper()
	var cursor []byte
	for _, p := range connectortest.Run(t, b, s) {
		log.Commit(p.Emissions, p.At)
		cursor = p.Cursor
	}
	return cursor
}

func TestSyncsStripesOwnMockFromEveryCheckpoint(t *testing.T) {
	t.Parallel()
	for stream, path := range map[string]string{"customers": "/v1/customers", "invoices": "/v1/invoices", "payouts": "/v1/payouts"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			m := newMock(t)
			m.fill(path, 230)
			b := connectortest.Open(t, stripe.Plugin, settings(m), m.Client())
			log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: stream})
			connectortest.RequireState(t, m.state(path), log.State(stream))
		})
	}
}

func TestLosesNothingWhileObjectsComeAndGo(t *testing.T) {
	t.Parallel()
	const path = "/v1/invoices"
	m := newMock(t)
	m.fill(path, 450)
	b := connectortest.Open(t, stripe.Plugin, settings(m), m.Client())
	log := connectortest.NewLog()
	var removed []string
	cursor := read(t, b, log, connectortest.Sync{Stream: "invoices", BeforePage: func(page int) {
		m.advance(time.Second)
		m.add(path, fmt.Sprintf("in_during_%d", page), m.now)
		if page == 0 {
			return
		}
		// What the page starts after (of the first), what was read, and what was not.
		for _, i := range []int{351 - 100*(page-1), 400 - 50*page, 20 * page} {
			id := fmt.Sprintf("obj_%04d", i)
			removed = append(removed, id)
			m.remove(path, id)
		}
	}})
	m.advance(time.Minute)
	read(t, b, log, connectortest.Sync{Stream: "invoices", Cursor: cursor})
	got := log.State("invoices")
	for _, id := range removed {
		delete(got, id) // a poll shows no deletion: its webhook does
	}
	connectortest.RequireState(t, m.state(path), got)
}

func TestStripeRefusesAnUnknownKeyAsAuth(t *testing.T) {
	t.Parallel()
	m := newMock(t)
	with := settings(m)
	with["api_key"] = "not a key"
	b := connectortest.Open(t, stripe.Plugin, with, m.Client())
	_, _, err := b.Page(t.Context(), "customers", framework.PageCall{})
	require.Equal(t, framework.ClassAuth, framework.ClassOf(err))
}

// event is Stripe's fixture of an event about a fixture of an object.
func (m *mock) event(id, kind, path string, object map[string]any) []byte {
	return m.with("/v1/events", map[string]any{
		"id": id, "type": kind, "created": start.Unix(), "data": map[string]any{"object": m.with(path, object)},
	})
}

func post(t *testing.T, url string, body []byte, signature string) (status int, said string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Stripe-Signature", signature)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct{ Status string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return response.StatusCode, answer.Status
}

func sign(body []byte, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
}

func TestTakesWhatStripesSDKSigns(t *testing.T) {
	t.Parallel()
	m := newMock(t)
	r := receiver.New(t, stripe.Plugin, settings(m), stripe.Inbox, webhookSecret)
	deliveries := [][]byte{
		m.event("evt_1", "customer.updated", "/v1/customers", map[string]any{"id": "cus_1"}),
		m.event("evt_2", "invoice.paid", "/v1/invoices", map[string]any{"id": "in_1", "status": "paid", "amount_paid": 9900}),
		m.event("evt_3", "payout.paid", "/v1/payouts", map[string]any{"id": "po_1"}),
		m.event("evt_4", "customer.deleted", "/v1/customers", map[string]any{"id": "cus_1"}),
		m.event("evt_5", "charge.refunded", "/v1/customers", map[string]any{"id": "ch_1", "object": "charge"}),
	}
	for _, status := range []string{"accepted", "duplicate"} {
		for _, body := range deliveries {
			code, said := post(t, r.URL, body, sign(body, webhookSecret, time.Now()))
			require.Equal(t, http.StatusOK, code)
			require.Equal(t, status, said)
		}
		require.Equal(t, map[string]int{"customers": 2, "invoices": 1, "payouts": 1, "payments": 1, "events": 1}, r.Counts(t))
	}
	var payment stripe.Payment
	require.NoError(t, json.Unmarshal(r.Events(t, "payments")[0].Payload, &payment))
	require.Equal(t, int64(9900), payment.AmountPaid)
	r.RequireNothingKept(t)
}

func TestRefusesWhatTheSDKSignsOtherwise(t *testing.T) {
	t.Parallel()
	m := newMock(t)
	r := receiver.New(t, stripe.Plugin, settings(m), stripe.Inbox, webhookSecret)
	body := m.event("evt_1", "customer.updated", "/v1/customers", map[string]any{"id": "cus_1"})
	changed := bytes.Replace(body, []byte("cus_1"), []byte("cus_2"), 1)
	for name, c := range map[string]struct {
		body      []byte
		signature string
	}{
		"another secret":  {body, sign(body, "whsec_of_another_endpoint_0123456", time.Now())},
		"an old delivery": {body, sign(body, webhookSecret, time.Now().Add(-6*time.Minute))},
		"another body":    {changed, sign(body, webhookSecret, time.Now())},
		"no signature":    {body, ""},
	} {
		code, _ := post(t, r.URL, c.body, c.signature)
		require.Equal(t, http.StatusUnauthorized, code, name)
	}
	require.Equal(t, map[string]int{"customers": 0, "invoices": 0, "payouts": 0, "payments": 0, "events": 0}, r.Counts(t))
	r.RequireNothingKept(t)
}
