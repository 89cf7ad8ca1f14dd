package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

type backfillRow struct {
	ID         string                  `json:"id"`
	Project    string                  `json:"project"`
	Connection string                  `json:"connection"`
	Stream     string                  `json:"stream"`
	State      scheduler.BackfillState `json:"state"`
	// Paused says that it waits because its stream is paused.
	Paused        bool         `json:"paused"`
	From          *health.Time `json:"from"`
	To            *health.Time `json:"to"`
	WindowSeconds float64      `json:"window_seconds"`
	// Rate is null when the pages are not bounded.
	Rate *string `json:"rate"`
	// Progress is the part of the range that was read, from 0 to 1.
	Progress float64 `json:"progress"`
	// DoneTo is the end of the windows that were read.
	DoneTo *health.Time `json:"done_to"`
	// RemainingSeconds is null while nobody can tell.
	RemainingSeconds *float64     `json:"remaining_seconds"`
	Pages            int64        `json:"pages"`
	Events           int64        `json:"events"`
	Duplicates       int64        `json:"duplicates"`
	CreatedAt        *health.Time `json:"created_at"`
	FinishedAt       *health.Time `json:"finished_at"`
	RunID            *string      `json:"run_id"`
	Error            *string      `json:"error"`
	ErrorClass       *string      `json:"error_class"`
	Failures         int          `json:"consecutive_failures"`
	RetryAt          *health.Time `json:"retry_at"`
}

func newBackfillRow(c store.Connection, b scheduler.Backfill) backfillRow {
	row := backfillRow{
		ID: b.ID, Project: c.Project, Connection: c.Name, Stream: b.Stream, State: b.State, Paused: b.Paused,
		From: health.TimeOrNil(b.From), To: health.TimeOrNil(b.To), WindowSeconds: b.Window.Seconds(), Rate: orNil(b.Rate.String()),
		Progress: math.Floor(b.Progress()*1e4) / 1e4, DoneTo: health.TimeOrNil(b.DoneTo),
		Pages: b.Pages, Events: b.Events, Duplicates: b.Duplicates,
		CreatedAt: health.TimeOrNil(b.CreatedAt), FinishedAt: health.TimeOrNil(b.FinishedAt), RunID: orNil(b.RunID),
		Error: orNil(b.Error), ErrorClass: orNil(b.ErrorClass), Failures: b.Failures, RetryAt: health.TimeOrNil(b.RetryAt),
	}
	if b.Remaining > 0 && b.State == scheduler.BackfillRunning {
		s := b.Remaining.Seconds()
		row.RemainingSeconds = &s
	}
	return row
}

type backfillList struct {
	Backfills []backfillRow `json:"backfills"`
	Next      *string       `json:"next"`
}

// listBackfills lists those of a stream, newest first.
func (a *API) listBackfills(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit, before := q.limit(), q.token("page_token", 1)
	if err := q.err(); err != nil {
		return reply{}, err
	}
	t, err := a.target(r)
	if err != nil {
		return reply{}, err
	}
	list, err := a.cfg.Operations.Backfills(r.Context(), t.Connection.ID)
	if err != nil {
		return reply{}, err
	}
	out := backfillList{Backfills: []backfillRow{}}
	for _, b := range slices.Backward(list) {
		if b.Stream != t.Stream.Key || before != nil && b.ID >= before[0] {
			continue
		}
		if len(out.Backfills) == limit {
			out.Next = pageToken(out.Backfills[limit-1].ID)
			break
		}
		out.Backfills = append(out.Backfills, newBackfillRow(t.Connection, b))
	}
	return ok(out)
}

// maxWindow is the longest window that can be asked for.
const maxWindow = 366 * 24 * time.Hour

func (a *API) startBackfill(r *http.Request) (reply, error) {
	q := newQuery(r)
	spec := scheduler.BackfillSpec{From: q.moment("from"), To: q.moment("to"), Window: q.duration("window", maxWindow), Rate: q.rate("rate")}
	for name, at := range map[string]time.Time{"from": spec.From, "to": spec.To} {
		if !q.values.Has(name) && at.IsZero() {
			q.fault(name, "is required")
		}
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	t, err := a.pollTarget(r)
	if err != nil {
		return reply{}, err
	}
	if err := CheckBackfill(t); err != nil {
		return reply{}, err
	}
	b, err := a.cfg.Operations.Backfill(r.Context(), t.Connection.ID, t.Stream.Key, spec)
	if errors.Is(err, scheduler.ErrBackfillSpec) {
		return reply{}, newProblem(http.StatusBadRequest, "invalid_parameters", err.Error())
	}
	if err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return reply{status: http.StatusAccepted, value: newBackfillRow(t.Connection, b)}, nil
}

// CheckBackfill refuses a backfill of a stream whose connector cannot read a range.
func CheckBackfill(t health.Target) error {
	if t.Stream.Mode == catalog.ModePoll && !t.Stream.Backfill {
		return newProblem(http.StatusUnprocessableEntity, "no_range",
			"the sync route of stream "+shown(t.Stream.Key)+" reads neither from nor to, so it cannot be asked for a range (backfill: false in the catalog); reset the stream to read everything again")
	}
	return nil
}

// backfillConnection finds the connection of a route that names a backfill.
func (a *API) backfillConnection(r *http.Request) (store.Connection, string, error) {
	c, err := a.plainConnection(r)
	return c, chi.URLParam(r, "backfill"), err
}

func (a *API) getBackfill(r *http.Request) (reply, error) {
	c, id, err := a.backfillConnection(r)
	if err != nil {
		return reply{}, err
	}
	list, err := a.cfg.Operations.Backfills(r.Context(), c.ID)
	if err != nil {
		return reply{}, err
	}
	i := slices.IndexFunc(list, func(b scheduler.Backfill) bool { return b.ID == id })
	if i < 0 {
		return reply{}, unknownBackfill(id)
	}
	return ok(newBackfillRow(c, list[i]))
}

func unknownBackfill(id string) error {
	return newProblem(http.StatusNotFound, "unknown_backfill", fmt.Sprintf("no backfill %s in this connection", shown(id)))
}

func (a *API) cancelBackfill(r *http.Request) (reply, error) {
	return a.turnBackfill(r, a.cfg.Operations.CancelBackfill)
}

func (a *API) resumeBackfill(r *http.Request) (reply, error) {
	return a.turnBackfill(r, a.cfg.Operations.ResumeBackfill)
}

func (a *API) turnBackfill(r *http.Request, turn func(ctx context.Context, connectionID, id string) (scheduler.Backfill, error)) (reply, error) {
	c, id, err := a.backfillConnection(r)
	if err != nil {
		return reply{}, err
	}
	b, err := turn(r.Context(), c.ID, id)
	if errors.Is(err, scheduler.ErrUnknownBackfill) {
		return reply{}, unknownBackfill(id)
	}
	if err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return ok(newBackfillRow(c, b))
}

// duration reads a duration in days or as Go writes it: 1d, 36h, 90m.
func (q *query) duration(name string, most time.Duration) time.Duration {
	text, ok := q.text(name)
	if !ok {
		return 0
	}
	d, err := ParseDuration(text)
	if err != nil || d <= 0 || d > most {
		q.fault(name, "is %s; it must be a duration such as 1d, 12h or 30m, at most %dd", shown(text), int(most.Hours()/24))
		return 0
	}
	return d
}

// rate reads a rate such as 30/min.
func (q *query) rate(name string) budget.Rate {
	text, ok := q.text(name)
	if !ok {
		return budget.Rate{}
	}
	rate, err := budget.ParseRate(text)
	if err != nil {
		q.fault(name, "is %s; %v", shown(text), budget.ErrRate)
	}
	return rate
}

// ParseDuration reads a duration as Go writes it, or whole days: 7d.
func ParseDuration(text string) (time.Duration, error) {
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); err == nil && n == 1 && text == fmt.Sprintf("%dd", days) && days >= 0 && days < 100_000 {
		return time.Duration(days) * 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}
