package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// Deliveries is what an operator sees of webhooks, and may do with them.
type Deliveries interface {
	// StoredDelivery returns one stored delivery with its header and body, or
	// store.ErrNotFound.
	StoredDelivery(ctx context.Context, connectionID, id string) (store.StoredDelivery, error)
	// Redeliver calls the handlers of the selected deliveries again, one every so
	// often, and returns how many were selected.
	Redeliver(ctx context.Context, r store.DeliveryRange, every time.Duration) (int, error)
	// Discard erases the selected deliveries, keeps the reason, and returns how
	// many there were.
	Discard(ctx context.Context, r store.DeliveryRange, reason string) (int, error)
	// Erase blanks what is known of an entity, see store.Eraser.
	Erase(ctx context.Context, connectionID, entity string) (store.Erasure, error)
	// Erasures lists the records of erasures, oldest first.
	Erasures(ctx context.Context, connectionID string) ([]store.Erasure, error)
	// Endpoints lists the paths of a connection's webhook endpoints.
	Endpoints(connectionID string) []string
	// Report returns what all processes that share the store know of an endpoint
	// since their start; ok is false for one that is not there.
	Report(ctx context.Context, connectionID, endpoint string) (r intake.Report, ok bool, err error)
	// ResumeEndpoint ends the quarantine of an endpoint at every process, and
	// reports whether it was in one.
	ResumeEndpoint(ctx context.Context, connectionID, endpoint string) (bool, error)
}

// webhookRoutes are there when the process has deliveries.
func (a *API) webhookRoutes(prefix string) {
	connection := prefix + "/connections/{connection}"
	a.router.Get(connection+"/deliveries/{delivery}", a.answer(a.getDelivery))
	a.router.Post(connection+"/deliveries/redeliver", a.answer(a.redeliver))
	a.router.Post(connection+"/deliveries/discard", a.answer(a.discard))
	a.router.Post(connection+"/erasures", a.answer(a.erase))
	a.router.Get(connection+"/erasures", a.answer(a.listErasures))
	a.router.Get(connection+"/webhooks", a.answer(a.listWebhooks))
	a.router.Get(connection+"/webhooks/{path}", a.answer(a.getWebhook))
	a.router.Post(connection+"/webhooks/{path}/resume", a.answer(a.resumeWebhook))
}

// webhookTable are the rows of these routes. What a sender wrote is for operators.
func webhookTable(prefix string) []Route {
	connection := prefix + "/connections/{connection}"
	return []Route{
		{http.MethodGet, connection + "/deliveries/{delivery}", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodPost, connection + "/deliveries/redeliver", RoleOperator, formLimit, pageDeadline, FaceAPI},
		{http.MethodPost, connection + "/deliveries/discard", RoleOperator, formLimit, pageDeadline, FaceAPI},
		{http.MethodPost, connection + "/erasures", RoleOperator, formLimit, pageDeadline, FaceAPI},
		{http.MethodGet, connection + "/erasures", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodGet, connection + "/webhooks", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodGet, connection + "/webhooks/{path}", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodPost, connection + "/webhooks/{path}/resume", RoleOperator, formLimit, actDeadline, FaceAPI},
	}
}

// storedDelivery is a delivery with all of it. Body is its text, or with
// BodyEncoding "base64" its bytes.
type storedDelivery struct {
	ID            string              `json:"id"`
	Endpoint      string              `json:"endpoint"`
	Key           string              `json:"key"`
	ReceivedAt    *health.Time        `json:"received_at"`
	Attempts      int                 `json:"attempts"`
	NextAttemptAt *health.Time        `json:"next_attempt_at"`
	State         store.DeliveryState `json:"state"`
	LastError     *string             `json:"last_error"`
	ExpiresAt     *health.Time        `json:"expires_at"`
	Header        json.RawMessage     `json:"header"`
	Body          string              `json:"body"`
	BodyEncoding  string              `json:"body_encoding"`
	BodyBytes     int                 `json:"body_bytes"`
}

func (a *API) getDelivery(r *http.Request) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	id := chi.URLParam(r, "delivery")
	d, err := a.cfg.Deliveries.StoredDelivery(r.Context(), c.ID, id)
	if err != nil {
		return reply{}, fmt.Errorf("delivery %s: %w", shown(id), err)
	}
	out := storedDelivery{
		ID: d.ID, Endpoint: d.Endpoint, Key: webhook.DeliveryID(d.Key), ReceivedAt: health.TimeOrNil(d.ReceivedAt), Attempts: d.Attempts,
		NextAttemptAt: health.TimeOrNil(d.NextAttemptAt), State: stateOf(d), LastError: orNil(d.LastError), ExpiresAt: health.TimeOrNil(d.ExpiresAt),
		Header: json.RawMessage("{}"), Body: string(d.Body), BodyEncoding: "utf-8", BodyBytes: len(d.Body),
	}
	if json.Valid(d.Header) {
		out.Header = d.Header
	}
	if !utf8.Valid(d.Body) {
		out.Body, out.BodyEncoding = base64.StdEncoding.EncodeToString(d.Body), "base64"
	}
	return ok(out)
}

func stateOf(d store.StoredDelivery) store.DeliveryState {
	return store.StateOf(d.Dead || d.Kept, store.EndingOf(d))
}

// selection reads which deliveries are meant. That all are must be said.
func (q *query) selection() store.DeliveryRange {
	s := store.DeliveryRange{State: store.DeliveryDead, From: q.moment("from"), To: q.moment("to")}
	s.ID, _ = q.text("id")
	s.Endpoint, _ = q.text("endpoint")
	if s.ID != "" && !deliveryID.MatchString(s.ID) {
		q.fault("id", "is %s; it must be the id of a delivery, dlv_…", shown(s.ID))
	}
	if text, given := q.text("state"); given {
		s.State = store.DeliveryState(text)
		one := s.State == store.DeliveryWaiting && s.ID != ""
		if s.State != store.DeliveryDead && s.State != store.DeliveryKept && !one {
			q.fault("state", "is %s; it must be %q or %q, or with an id %q", shown(text), store.DeliveryDead, store.DeliveryKept, store.DeliveryWaiting)
		}
	}
	all, given := q.text("all")
	if given && all != "true" {
		q.fault("all", "is %s; it must be true, or left out", shown(all))
	}
	if !given && s.ID == "" && s.Endpoint == "" && s.From.IsZero() && s.To.IsZero() {
		q.fault("id", "is missing; name one delivery, an endpoint, a time from or to, or all=true")
	}
	return s
}

type deliveryCount struct {
	Deliveries int `json:"deliveries"`
}

// maxRate bounds the rate of a redelivery, in deliveries a second.
const maxRate = 10_000

func (a *API) redeliver(r *http.Request) (reply, error) {
	q := newQuery(r)
	s := q.selection()
	var every time.Duration
	if text, given := q.text("rate"); given {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate >= 0.001 && rate <= maxRate) {
			q.fault("rate", "is %s; it must be a number of deliveries a second, from 0.001 to %d", shown(text), maxRate)
		} else {
			every = time.Duration(float64(time.Second) / rate)
		}
	}
	return a.changeDeliveries(r, q, s, func(s store.DeliveryRange) (int, error) {
		return a.cfg.Deliveries.Redeliver(r.Context(), s, every)
	})
}

// maxReason bounds the text that is kept of why a delivery was discarded.
const maxReason = 500

func (a *API) discard(r *http.Request) (reply, error) {
	q := newQuery(r)
	s := q.selection()
	reason, _ := q.text("reason")
	if reason == "" || len(reason) > maxReason || !utf8.ValidString(reason) {
		q.fault("reason", "has %d bytes; say in 1 to %d why these deliveries are erased", len(reason), maxReason)
	}
	return a.changeDeliveries(r, q, s, func(s store.DeliveryRange) (int, error) {
		return a.cfg.Deliveries.Discard(r.Context(), s, reason)
	})
}

func (a *API) changeDeliveries(r *http.Request, q *query, s store.DeliveryRange, do func(store.DeliveryRange) (int, error)) (reply, error) {
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, err := a.connection(r)
	if err != nil {
		return reply{}, err
	}
	s.ConnectionID = c.ID
	n, err := do(s)
	if err != nil {
		return reply{}, err
	}
	if n == 0 && s.ID != "" {
		detail := "there is no delivery " + shown(s.ID) + " in state " + string(s.State) + " of connection " + shown(c.Name)
		if d, err := a.cfg.Deliveries.StoredDelivery(r.Context(), c.ID, s.ID); err == nil {
			detail += "; its state is " + string(stateOf(d)) + ": ask for that"
		}
		return reply{}, newProblem(http.StatusNotFound, "unknown_delivery", detail)
	}
	a.cfg.Feed.NotifyProject(project(r))
	return ok(deliveryCount{n})
}

// webhookRow is an endpoint as the processes that share the store know it since
// their start.
type webhookRow struct {
	Path        string                   `json:"path"`
	URL         string                   `json:"url"`
	Deliveries  map[intake.Verdict]int64 `json:"deliveries"`
	Working     int                      `json:"working"`
	MaxHandlers int                      `json:"max_handlers"`
	RateLimit   float64                  `json:"rate_limit"`
	KeepDays    int                      `json:"keep_days"`
	Quarantined bool                     `json:"quarantined"`
	// Processes is how many there are, Answered how many of them this is of.
	Processes int         `json:"processes"`
	Answered  int         `json:"answered"`
	Recent    []recentRow `json:"recent,omitzero"`
}

type recentRow struct {
	ID         *string        `json:"id"`
	First      *string        `json:"first"`
	ReceivedAt *health.Time   `json:"received_at"`
	Verdict    intake.Verdict `json:"verdict"`
	// Status is null for a later call of the handler.
	Status     *int    `json:"status"`
	DurationMS float64 `json:"duration_ms"`
	BodyBytes  int     `json:"body_bytes"`
	Events     int     `json:"events"`
	Attempt    int     `json:"attempt"`
	Reason     *string `json:"reason"`
}

func (a *API) webhookRow(r *http.Request, c store.Connection, path string, recent bool) (row webhookRow, err error) {
	report, found, err := a.cfg.Deliveries.Report(r.Context(), c.ID, path)
	if err != nil {
		return webhookRow{}, err
	}
	if !found {
		return webhookRow{}, noEndpoint(c, path)
	}
	row = webhookRow{
		Path: path, URL: health.WebhookURL(a.cfg.Address.Base(r), c, path), Deliveries: report.Counts, Working: report.Working,
		MaxHandlers: report.MaxHandlers, RateLimit: report.Policy.RateLimit, KeepDays: int(report.Policy.Keep / (24 * time.Hour)),
		Quarantined: report.Quarantined, Processes: report.Processes, Answered: report.Answered,
	}
	if row.Deliveries == nil {
		row.Deliveries = map[intake.Verdict]int64{}
	}
	if recent {
		row.Recent = []recentRow{}
		for _, e := range report.Recent {
			one := recentRow{
				ID: orNil(e.ID), First: orNil(e.First), ReceivedAt: health.TimeOrNil(e.At), Verdict: e.Verdict,
				DurationMS: float64(e.Took.Microseconds()) / 1000, BodyBytes: e.Bytes, Events: e.Events, Attempt: e.Attempt, Reason: orNil(e.Why),
			}
			if e.Status != 0 {
				one.Status = &e.Status
			}
			row.Recent = append(row.Recent, one)
		}
	}
	return row, nil
}

type webhookList struct {
	Webhooks []webhookRow `json:"webhooks"`
}

func (a *API) listWebhooks(r *http.Request) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	out := webhookList{Webhooks: []webhookRow{}}
	for _, path := range a.cfg.Deliveries.Endpoints(c.ID) {
		row, err := a.webhookRow(r, c, path, false)
		if _, absent := errors.AsType[*Problem](err); absent {
			continue // the connection is disabled
		}
		if err != nil {
			return reply{}, err
		}
		out.Webhooks = append(out.Webhooks, row)
	}
	return ok(out)
}

func (a *API) getWebhook(r *http.Request) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	row, err := a.webhookRow(r, c, chi.URLParam(r, "path"), true)
	if err != nil {
		return reply{}, err
	}
	return ok(row)
}

func (a *API) resumeWebhook(r *http.Request) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	path := chi.URLParam(r, "path")
	if !slices.Contains(a.cfg.Deliveries.Endpoints(c.ID), path) {
		return reply{}, noEndpoint(c, path)
	}
	resumed, err := a.cfg.Deliveries.ResumeEndpoint(r.Context(), c.ID, path)
	if err != nil {
		return reply{}, err
	}
	if !resumed {
		return reply{}, newProblem(http.StatusConflict, "not_quarantined", "endpoint "+shown(path)+" is not in quarantine")
	}
	row, err := a.webhookRow(r, c, path, false)
	if err != nil {
		return reply{}, err
	}
	return ok(row)
}

func noEndpoint(c store.Connection, path string) *Problem {
	return newProblem(http.StatusNotFound, "unknown_endpoint",
		"connection "+shown(c.Name)+" has no webhook endpoint "+shown(path)+", or is disabled")
}
