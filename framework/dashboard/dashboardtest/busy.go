package dashboardtest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Ids of the connections of a busy office.
const (
	Demo    = "con_06dvr0000000000000000demo1"
	Stripe  = "con_06dvr000000000000000stripe"
	Billing = "con_06dvr00000000000000billing"
	GitHub  = "con_06dvr000000000000000github"
	Old     = "con_06dvr0000000000000000old01"
)

func poll(key, schedule, description string) catalog.StreamManifest {
	return catalog.StreamManifest{Key: key, Mode: catalog.ModePoll, Schedule: schedule, Description: description}
}

func webhook(key, description string) catalog.StreamManifest {
	return catalog.StreamManifest{Key: key, Mode: catalog.ModeWebhook, Description: description}
}

// StackOf is the stack of the run that failed.
const StackOf = `goroutine 812 [running]:
github.com/weirhq/weir/connectors/stripe.(*client).payouts(0xc0002f4000, {0x1a2b3c0, 0xc000112000}, 0x0)
	/src/connectors/stripe/payouts.go:61 +0x2c4
github.com/weirhq/weir/framework.contain[...].func1()
	/src/framework/binding.go:158 +0x9d`

// Busy returns an office with streams in every state.
func Busy(now time.Time) *Office {
	o := NewOffice(now)
	demo := catalog.Manifest{Connector: "demo", Streams: []catalog.StreamManifest{
		poll("customers", "@every 5s", "Customers are the people who buy in the demo shop.\n\nThey are created, updated, reverted and deleted all the time, and paged newest first."),
		poll("orders", "@every 10s", "Orders are what the customers buy."),
		webhook("order_events", "OrderEvents are the changes of orders, as the shop's webhooks tell of them."),
	}, Endpoints: []catalog.EndpointManifest{{Path: "demo", EndpointSpec: catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks, SecretSetting: "webhook_secret"}, Description: "Inbox receives the shop's webhooks."}}}
	stripe := catalog.Manifest{Connector: "stripe", Streams: []catalog.StreamManifest{
		poll("customers", "*/15 * * * *", "Customers are Stripe customers."),
		poll("invoices", "*/15 * * * *", "Invoices are Stripe invoices, drafts included."),
		poll("payouts", "0 * * * *", "Payouts are the transfers from Stripe to a bank account."),
		webhook("events", "Events are the webhook deliveries that map to no other stream."),
	}, Endpoints: []catalog.EndpointManifest{{Path: "stripe", EndpointSpec: catalog.EndpointSpec{Auth: catalog.AuthStripe, SecretSetting: "webhook_secret"}}}}
	github := catalog.Manifest{Connector: "github", Streams: []catalog.StreamManifest{
		poll("issues", "*/5 * * * *", "Issues are the issues and pull requests of the repositories."),
		poll("repositories", "30 2 * * 1", "Repositories are those that the token can see."),
		webhook("events", "Events are the deliveries that belong to no other stream."),
	}, Endpoints: []catalog.EndpointManifest{{Path: "github", EndpointSpec: catalog.EndpointSpec{Auth: catalog.AuthGitHub, SecretSetting: "webhook_secret"}}}}
	old := catalog.Manifest{Connector: "http", Streams: []catalog.StreamManifest{poll("rates", "0 6 * * *", "Rates are the central bank's reference rates.")}}

	o.Connect(store.Connection{ID: Demo, Project: "default", Name: "demo", Connector: "demo", Type: "source", Enabled: true, CreatedAt: now.Add(-40 * time.Hour)}, demo)
	o.Connect(store.Connection{ID: Stripe, Project: "default", Name: "stripe-eu", Connector: "stripe", Type: "source", Enabled: true, CreatedAt: now.Add(-400 * time.Hour)}, stripe)
	o.Connect(store.Connection{ID: GitHub, Project: "default", Name: "github", Connector: "github", Type: "source", Enabled: true, CreatedAt: now.Add(-300 * time.Hour)}, github)
	o.Connect(store.Connection{ID: Old, Project: "default", Name: "rates", Connector: "http", Type: "source", Enabled: false, CreatedAt: now.Add(-900 * time.Hour)}, old)
	o.Connect(store.Connection{ID: Billing, Project: "billing", Name: "stripe-us", Connector: "stripe", Type: "source", Enabled: true, CreatedAt: now.Add(-20 * time.Minute)}, stripe)

	succeeded := func(id, key string, ago, next time.Duration) {
		o.Status(id, key, func(s *store.StreamStatus) {
			s.LastSuccessAt, s.Duplicates = now.Add(-ago), s.Head/3
			if next != 0 {
				s.NextRunAt = now.Add(next)
			}
		})
	}
	o.Past(Demo, "customers", 12_408, wave(24, 40, 420))
	o.Past(Demo, "orders", 31_990, wave(24, 90, 900))
	o.Past(Demo, "order_events", 8_311, wave(24, 20, 260))
	o.Past(Stripe, "customers", 48_112, wave(24, 3, 40))
	o.Past(Stripe, "invoices", 190_427, wave(24, 0, 130))
	o.Past(Stripe, "payouts", 1_204, []int64{0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0})
	o.Past(Stripe, "events", 77_001, wave(24, 11, 60))
	o.Past(GitHub, "issues", 5_120, wave(24, 0, 22))
	o.Past(GitHub, "repositories", 214, nil)
	o.Past(Old, "rates", 9_001, nil)
	succeeded(Demo, "customers", 2*time.Second, 3*time.Second)
	succeeded(Demo, "orders", 7*time.Second, 3*time.Second)
	succeeded(Demo, "order_events", 11*time.Second, 0)
	succeeded(Stripe, "customers", 4*time.Minute, 11*time.Minute)
	succeeded(Stripe, "invoices", 4*time.Minute, 11*time.Minute)
	succeeded(Stripe, "payouts", 3*time.Hour, 9*time.Minute)
	succeeded(Stripe, "events", 26*time.Minute, 0)
	succeeded(GitHub, "issues", 47*time.Minute, -42*time.Minute)
	succeeded(GitHub, "repositories", 80*time.Hour, 88*time.Hour)
	succeeded(Old, "rates", 500*time.Hour, 0)
	demo.Streams[0].Backfill = true
	o.backfills = append(o.backfills, scheduler.Backfill{
		ID: "bfl_1", ConnectionID: Demo, Stream: "customers", From: now.Add(-20 * 24 * time.Hour), To: now.Add(-10 * 24 * time.Hour),
		Window: 24 * time.Hour, State: scheduler.BackfillRunning, DoneTo: now.Add(-15 * 24 * time.Hour), Pages: 60, Events: 4_100, Duplicates: 212,
		CreatedAt: now.Add(-2 * time.Minute), Remaining: 2 * time.Minute,
	})
	o.SetRunning(Stripe, "invoices", true)
	o.Status(Stripe, "payouts", func(s *store.StreamStatus) {
		s.ConsecutiveFailures, s.LastErrorClass, s.LastErrorAt = 3, "auth", now.Add(-51*time.Second)
		s.LastError = `GET https://api.stripe.com/v1/payouts?***: 401 Unauthorized: the API key "rk_live_***" does not have the permission rak_payout_read. Give the key this permission in Stripe's dashboard, or use another key.`
	})
	o.SetAlarm(Stripe, "customers", store.Alarm{Kind: store.AlarmZeroEvents, Since: now.Add(-5 * time.Hour), Runs: 18, Usual: 0.8})
	o.Status(GitHub, "repositories", func(s *store.StreamStatus) { s.Paused = true })

	o.SetCheckpoint(Demo, "customers", store.Checkpoint{
		CheckpointWrite: store.CheckpointWrite{
			Stream: "customers", Lane: store.LaneLive, Cursor: []byte(`{"watermark":"2026-03-02T12:19:51Z","page":""}`), CursorVersion: 1,
			From: now.Add(-15 * time.Minute), To: now.Add(-2 * time.Second), WindowDone: now.Add(-2 * time.Second), RunID: "run_06dvr7h2k8e3pawx9tq4mzs5cn",
		},
		UpdatedAt: now.Add(-2 * time.Second),
	})
	seedRuns(o, now)
	seedEvents(o, now)
	seedDeliveries(o, now)
	seedReports(o, now)
	return o
}

func seedRuns(o *Office, now time.Time) {
	run := func(stream, id string, conn string, n int, state store.RunState, trigger string, ago, lasted time.Duration, pages, events, duplicates int64) store.Run {
		r := store.Run{
			ID: fmt.Sprintf("run_%s%02d", id, n), ConnectionID: conn, Stream: stream, Trigger: trigger, State: state,
			StartedAt: now.Add(-ago), Pages: pages, Events: events, Duplicates: duplicates,
		}
		if state != store.RunRunning {
			r.FinishedAt = r.StartedAt.Add(lasted)
		}
		return r
	}
	for i := range 12 {
		ago := time.Duration(12-i)*5*time.Second - 3*time.Second
		o.AddRun(run("customers", "06dvr7h2k8e3pawx9tq4mzs5", Demo, i, store.RunSucceeded, "schedule", ago, time.Duration(90+i*7)*time.Millisecond, 1+int64(i%3), int64(i*3%11)+1, int64(i*5%7)))
	}
	for i := range 3 {
		r := run("payouts", "06dvr7h2k8e3pawx9tq4payo", Stripe, i, store.RunFailed, "schedule", time.Duration(3-i)*40*time.Minute, 412*time.Millisecond, 0, 0, 0)
		r.Error, r.ErrorClass = "GET https://api.stripe.com/v1/payouts?***: 401 Unauthorized", "auth"
		if i == 1 {
			r.Error, r.ErrorClass, r.Stack = "runtime error: index out of range [0] with length 0", "bug", StackOf
		}
		o.AddRun(r)
	}
	o.AddRun(run("invoices", "06dvr7h2k8e3pawx9tq4invo", Stripe, 0, store.RunRunning, "schedule", 95*time.Second, 0, 38, 3_800, 12))
}

func seedEvents(o *Office, now time.Time) {
	names := []string{"Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Tony Hoare", "Radia Perlman"}
	for i := range 14 {
		e := ingest.Event{
			Type: "customer", Subject: fmt.Sprintf("cus_%04d", 8800+i*13%97), Operation: ingest.Upsert,
			RecordedAt: now.Add(-time.Duration(14-i) * 5 * time.Second), Time: now.Add(-time.Duration(14-i)*5*time.Second - 900*time.Millisecond),
		}
		e.Payload = json.RawMessage(fmt.Sprintf(`{"id":%q,"name":%q,"balance":9007199254740993,"email":"someone@example.com","vip":%t,"tags":["new","<b>bold</b>"]}`, e.Subject, names[i%len(names)], i%4 == 0))
		if i%6 == 4 {
			e.Operation, e.Payload = ingest.Deletion, nil
		}
		e.Late = i == 9
		o.Record(Demo, "customers", e)
	}
	for i := range 5 {
		o.Record(Demo, "order_events", ingest.Event{
			Type: "order.paid", Subject: fmt.Sprintf("ord_%04d", 100+i), Operation: ingest.Upsert,
			RecordedAt: now.Add(-time.Duration(60-i*10) * time.Second), Payload: json.RawMessage(`{"order":"ord_0100","amount":1e2}`),
		})
	}
}

func seedDeliveries(o *Office, now time.Time) {
	keep := func(n int, ago time.Duration, attempts int, next time.Duration, failure string) {
		d := store.DeliverySummary{
			ID: fmt.Sprintf("dlv_06dvr7h2k8e3pawx9tq4stri%02d", n), ConnectionID: Stripe, Endpoint: "stripe", Key: fmt.Sprintf(`body "id" evt_1Qx%04d`, n),
			ReceivedAt: now.Add(-ago), Attempts: attempts, State: store.DeliveryDead, LastError: failure, BodyBytes: int64(900 + n),
		}
		if next != 0 {
			d.State, d.NextAttemptAt = store.DeliveryWaiting, now.Add(next)
		}
		o.Keep(d)
	}
	keep(0, 80*time.Hour, 31, 0, "post to the ledger: connection refused")
	keep(1, 5*time.Hour, 1, 0, `decode delivery as stripe.Event: json: cannot unmarshal number into Go struct field Event.id of type string`)
	keep(2, 4*time.Minute, 3, 2*time.Minute, "handler did not return within 10s")
	keep(3, 2*time.Minute, 1, -time.Second, "post to the ledger: connection refused")
}

func seedReports(o *Office, now time.Time) {
	recent := func(n int, verdict intake.Verdict, status int, ago, took time.Duration, size, events int, why string) intake.Recent {
		e := intake.Recent{At: now.Add(-ago), Verdict: verdict, Status: status, Bytes: size, Events: events, Took: took, Attempt: 1, Why: why}
		switch verdict {
		case intake.Accepted, intake.Stored, intake.Dead:
			e.ID = fmt.Sprintf("dlv_06dvr7h2k8e3pawx9tq4stri%02d", n)
		case intake.Duplicate:
			e.First = "evt_6mq3f0qv6w2s8b1c9e"
		default:
		}
		return e
	}
	r := intake.Report{
		Processes: 1, Answered: 1, Working: 1, MaxHandlers: 64, Policy: intake.Policy{RateLimit: 10, Keep: 7 * 24 * time.Hour},
		Counts: map[intake.Verdict]int64{intake.Accepted: 77_001, intake.Duplicate: 212, intake.Stored: 3, intake.Dead: 1, intake.Unverified: 41, intake.Limited: 2},
		Recent: []intake.Recent{
			recent(9, intake.Accepted, 200, 26*time.Second, 3*time.Millisecond, 1_812, 2, ""),
			recent(0, intake.Unverified, 401, 49*time.Second, time.Millisecond, 633, 0, "no signature matches"),
			recent(8, intake.Duplicate, 200, 70*time.Second, time.Millisecond, 1_812, 0, ""),
			recent(3, intake.Stored, 200, 2*time.Minute, 41*time.Millisecond, 903, 0, "post to the ledger: connection refused"),
			recent(2, intake.Stored, 0, 3*time.Minute, 10*time.Second, 902, 0, "handler did not return within 10s"),
			recent(1, intake.Dead, 200, 5*time.Hour, 2*time.Millisecond, 901, 0, "decode delivery as stripe.Event: json: cannot unmarshal number into Go struct field Event.id of type string"),
		},
	}
	for i := range 12 {
		r.Recent = append(r.Recent, recent(10+i, intake.Accepted, 200, time.Duration(6+i)*time.Hour, time.Duration(2+i)*time.Millisecond, 1_000+i*37, 1, ""))
	}
	o.SetReport(Stripe, "stripe", r)
}

// wave is a plausible day: quiet nights, busy afternoons.
func wave(n int, least, most int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		up := int64(i % 12)
		if up > 6 {
			up = 12 - up
		}
		out[i] = least + (most-least)*up*(5+int64(i*7%5))/60
	}
	return out
}
