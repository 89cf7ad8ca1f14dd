package stripe_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/stripe"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
)

// read runs the stream and commits its pages to log, and returns the last
// checkpoint.
func read(t *testing.T, b *framework.Binding, log *connectortest.Log, s connectortest.Sync) []byte {
	t.Helper()
	var cursor []byte
	for _, p := range connectortest.Run(t, b, s) {
		log.Commit(p.Emissions, p.At)
		cursor = p.Cursor
	}
	return cursor
}

func TestReadsEveryPageOfEveryPolledStream(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	for stream, kind := range map[string]string{"customers": "customer", "invoices": "invoice", "payouts": "payout"} {
		s.fill(kind, 250)
		log := connectortest.NewLog()
		read(t, b, log, connectortest.Sync{Stream: stream})
		connectortest.RequireState(t, s.state(kind), log.State(stream))
		require.Len(t, log.Events(stream), 250)
	}
	require.Equal(t, 9, s.pages)
}

func TestResumesAtEveryCheckpoint(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.fill("invoice", 450)
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: "invoices"})
	connectortest.RequireState(t, s.state("invoice"), log.State("invoices"))
}

func TestNextRunReadsOnlyWhatIsNewAndTheOverlap(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.fill("customer", 300)
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.NewLog()
	cursor := read(t, b, log, connectortest.Sync{Stream: "customers"})

	s.advance(15 * time.Minute)
	s.add("customer", "cus_new", start.Add(5*time.Minute), "new")
	s.add("customer", "cus_late", start.Add(-50*time.Minute), "became visible late")
	pages := connectortest.Run(t, b, connectortest.Sync{Stream: "customers", Cursor: cursor})
	require.Len(t, pages, 1)
	appended, duplicates := log.Commit(pages[0].Emissions, pages[0].At)
	require.Equal(t, 2, appended)
	require.Equal(t, 60, duplicates, "the overlap is an hour, and there is a customer a minute")
	connectortest.RequireState(t, s.state("customer"), log.State("customers"))
}

func TestLosesNothingWhenObjectsComeAndGoBetweenPages(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.fill("customer", 350)
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.NewLog()
	cursor := read(t, b, log, connectortest.Sync{Stream: "customers", BeforePage: func(page int) {
		s.advance(time.Second)
		s.add("customer", fmt.Sprintf("cus_during_%d", page), start.Add(time.Duration(page)*time.Second), "new")
		switch page {
		case 1: // read already, and the anchor of this page
			s.remove("customer", "customer_0251")
		case 2: // a whole page before its turn, without moving what follows
			s.remove("customer", "customer_0001")
		}
	}})
	s.advance(time.Minute)
	read(t, b, log, connectortest.Sync{Stream: "customers", Cursor: cursor})

	want := s.state("customer")
	got := log.State("customers")
	require.NotEmpty(t, got["customer_0251"], "a poll never shows a deletion; the webhook does")
	delete(got, "customer_0251")
	connectortest.RequireState(t, want, got)
}

func TestGoesOnAtTheAnchorsSecondWhenTheAnchorIsDeleted(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	for i := range 220 { // all within two seconds, so that the second of the anchor spans pages
		s.add("payout", fmt.Sprintf("po_%03d", i), start.Add(-time.Duration(1+i/110)*time.Second), "paid")
	}
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.NewLog()
	read(t, b, log, connectortest.Sync{Stream: "payouts", BeforePage: func(page int) {
		if page == 1 {
			s.remove("payout", "po_099")
		}
	}})
	got := log.State("payouts")
	delete(got, "po_099")
	connectortest.RequireState(t, s.state("payout"), got)
}

func TestRecordsAChangeAndItsReversalAsTwoEvents(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.add("invoice", "in_1", start.Add(-time.Minute), "draft")
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.NewLog()
	var cursor []byte
	for _, state := range []string{"draft", "draft", "open", "draft"} {
		s.set("invoice", "in_1", state)
		s.advance(time.Minute)
		cursor = read(t, b, log, connectortest.Sync{Stream: "invoices", Cursor: cursor})
	}
	require.Len(t, log.Events("invoices"), 3)
	connectortest.RequireState(t, s.state("invoice"), log.State("invoices"))
}

func TestBackfillReadsItsRangeAlone(t *testing.T) {
	t.Parallel()
	s := newStub(t, "sk_test_a")
	s.fill("invoice", 400)
	b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
	log := connectortest.NewLog()
	from, to := start.Add(-300*time.Minute), start.Add(-150*time.Minute)
	read(t, b, log, connectortest.Sync{Stream: "invoices", From: from, To: to})
	events := log.Events("invoices")
	require.Len(t, events, 150)
	require.Equal(t, "invoice_0249", events[0].Key.Entity(), "to is exclusive")
	require.Equal(t, "invoice_0100", events[149].Key.Entity(), "from is inclusive")
}

func TestTwoConnectionsKeepTheirSecretsApart(t *testing.T) {
	t.Parallel()
	first, second := newStub(t, "sk_test_first"), newStub(t, "sk_test_second")
	first.add("customer", "cus_first", start.Add(-time.Minute), "")
	second.add("customer", "cus_second", start.Add(-time.Minute), "")
	settings := first.settings()
	settings["api_version"] = "2025-09-30.clover"
	a := connectortest.Open(t, stripe.Plugin, settings, first.Client())
	b := connectortest.Open(t, stripe.Plugin, second.settings(), second.Client())
	for range 3 {
		for _, c := range []struct {
			binding *framework.Binding
			stub    *stub
		}{{a, first}, {b, second}} {
			log := connectortest.NewLog()
			read(t, c.binding, log, connectortest.Sync{Stream: "customers"})
			connectortest.RequireState(t, c.stub.state("customer"), log.State("customers"))
		}
	}
	require.Equal(t, []string{"2025-09-30.clover", "2025-09-30.clover", "2025-09-30.clover"}, first.versions)
	require.Equal(t, []string{"", "", ""}, second.versions)
}

func TestSaysWhatKindOfFailureItWas(t *testing.T) {
	t.Parallel()
	reply := func(status int, header, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		class  framework.Class
		wait   time.Duration
		says   string
	}{
		"a revoked key":      {reply(401, "", `{}`), framework.ClassAuth, 0, "401"},
		"a restricted key":   {reply(403, "", `{}`), framework.ClassAuth, 0, "403"},
		"too many requests":  {reply(429, "Retry-After: 7", `{}`), framework.ClassTransient, 7 * time.Second, "429"},
		"an outage":          {reply(503, "", `<html>`), framework.ClassTransient, 0, "503"},
		"a bad request":      {reply(400, "", `{"error":{"code":"parameter_unknown"}}`), framework.ClassPermanent, 0, "400"},
		"a proxy's page":     {reply(200, "", `<html>sorry</html>`), framework.ClassTransient, 0, "decode response"},
		"a cut answer":       {reply(200, "", `{"object":"list","data":[{"id":"cus`), framework.ClassTransient, 0, "decode response"},
		"another API":        {reply(200, "", `{"object":"account"}`), framework.ClassPermanent, 0, "check base_url"},
		"an object of no id": {reply(200, "", `{"object":"list","data":[{"created":1}]}`), framework.ClassPermanent, 0, "idempotency key"},
		"an endless answer":  {reply(200, "", strings.Repeat(" ", framework.MaxResponseBytes+1)), framework.ClassPermanent, 0, "larger than"},
		"an unrelated id":    {reply(400, "", `{"error":{"code":"resource_missing","param":"customer"}}`), framework.ClassPermanent, 0, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t, "sk_test_hidden")
			s.answer = c.answer
			b := connectortest.Open(t, stripe.Plugin, s.settings(), s.Client())
			_, _, err := b.Page(t.Context(), "customers", framework.PageCall{})
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.class, framework.ClassOf(err))
			require.Equal(t, c.wait, framework.RetryDelay(err))
			require.NotContains(t, err.Error(), "sk_test_hidden")
		})
	}
}

func TestTakesSettingsOrNamesEveryError(t *testing.T) {
	t.Parallel()
	require.NoError(t, stripe.Plugin.CheckSettings(map[string]any{"api_key": "sk_test_x", "webhook_secret": "whsec_x"}))
	err := stripe.Plugin.CheckSettings(map[string]any{"api_keys": "x", "base_url": "ftp://x"})
	require.ErrorContains(t, err, `setting "api_key" is required`)
	require.ErrorContains(t, err, `did you mean "api_key"?`)
	require.ErrorContains(t, err, `setting "base_url" must start with http`)
	require.Equal(t, []string{"api_key", "webhook_secret"}, stripe.Plugin.SecretSettings())
}
