package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

type pageAnswer struct {
	Cursor     json.RawMessage `json:"cursor"`
	HasMore    bool            `json:"hasMore"`
	Emitted    int             `json:"emitted"`
	Duplicates int             `json:"duplicates"`
}

// syncPage runs one page on demand.
func (a *API) syncPage(r *http.Request) (reply, error) {
	q := newQuery(r)
	call := PageCall{From: q.moment("from"), To: q.moment("to"), Cursor: q.cursor("cursor")}
	if !call.From.IsZero() && !call.To.IsZero() && !call.From.Before(call.To) {
		q.fault("to", "is not after from; the range is from <= time < to")
	}
	call.Explicit = len(q.values) > 0
	if err := q.err(); err != nil {
		return reply{}, err
	}
	t, err := a.pollTarget(r)
	if err != nil {
		return reply{}, err
	}
	if ranged := !call.From.IsZero() || !call.To.IsZero(); ranged && !t.Stream.Backfill && !t.Stream.Window {
		return reply{}, newProblem(http.StatusUnprocessableEntity, "no_range",
			"the sync route of stream "+shown(t.Stream.Key)+" reads neither from nor to; leave them out")
	}
	call.ConnectionID, call.Stream = t.Connection.ID, t.Stream.Key
	result, err := a.cfg.Operations.Page(r.Context(), call)
	if err != nil {
		if unfit, ok := errors.AsType[*framework.CursorError](err); ok && call.Cursor != nil {
			return reply{}, unfitCursor(t.Stream.Key, call.Cursor, unfit)
		}
		return reply{}, pageProblem(r.Context(), err)
	}
	out := pageAnswer{HasMore: result.HasMore, Emitted: result.Emitted, Duplicates: result.Duplicates}
	if json.Valid(result.Cursor) {
		out.Cursor = result.Cursor
	}
	return ok(out)
}

// unfitCursor says that the caller's cursor is not one of the stream's. That of
// the checkpoint is another matter: nobody gave it.
func unfitCursor(stream string, cursor []byte, cause *framework.CursorError) error {
	fault := Fault{Parameter: "cursor", Detail: "is " + shown(string(cursor)) + ", which is no cursor of stream " + shown(stream) + ": " + clipped(cause.Reason.Error()) +
		"; take it from an answer of this stream"}
	p := newProblem(http.StatusBadRequest, "invalid_parameters", "the query is not valid: cursor "+fault.Detail)
	p.Errors = []Fault{fault}
	return p
}

// maxDetail bounds the text of another's error.
const maxDetail = 4 << 10

// pageProblem tells a failure of the connector or its provider from one of ours.
// The text of the former is for the operator: the framework keeps secrets out of it.
func pageProblem(ctx context.Context, err error) error {
	code := ProblemOf(err).Code
	// A deadline of the route or its provider is no deadline of this request.
	if theirs := code == "deadline" && ctx.Err() == nil; code != "internal" && !theirs {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	// Such a text may be as long as a provider's answer.
	detail := err.Error()
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	p := newProblem(http.StatusBadGateway, "sync_failed", detail)
	if class := framework.ClassOf(err); class == framework.ClassBug {
		p.Code = "connector_failed"
	}
	return p
}

// pollTarget finds the stream that the path names and refuses one that has no
// polls, or whose connection is switched off.
func (a *API) pollTarget(r *http.Request) (health.Target, error) {
	t, err := a.target(r)
	if err != nil {
		return t, err
	}
	return t, CheckOperable(t)
}

// CheckOperable refuses what an operator cannot do with a stream: a webhook
// stream has no polls, and nothing runs in a connection that is switched off.
func CheckOperable(t health.Target) error {
	if t.Stream.Mode != catalog.ModePoll {
		return newProblem(http.StatusConflict, "webhook_stream",
			"stream "+shown(t.Stream.Key)+" is fed by webhooks; it has no polls to sync, run, pause, resume or reset")
	}
	if !t.Connection.Enabled {
		return newProblem(http.StatusConflict, "connection_disabled", "connection "+shown(t.Connection.Name)+" is disabled; enable it first")
	}
	return nil
}

func (a *API) pause(r *http.Request) (reply, error)  { return a.setPaused(r, true) }
func (a *API) resume(r *http.Request) (reply, error) { return a.setPaused(r, false) }

func (a *API) setPaused(r *http.Request, paused bool) (reply, error) {
	return a.operate(r, http.StatusOK, func(c store.Connection, stream string) error {
		return a.cfg.Operations.SetPaused(r.Context(), c.ID, stream, paused)
	})
}

func (a *API) runNow(r *http.Request) (reply, error) {
	return a.operate(r, http.StatusAccepted, func(c store.Connection, stream string) error {
		return a.cfg.Operations.RunNow(r.Context(), c.ID, stream)
	})
}

func (a *API) reset(r *http.Request) (reply, error) {
	q := newQuery(r)
	to := scheduler.ResetTo{Cursor: q.cursor("cursor"), Since: q.moment("since")}
	if to.Cursor != nil && !to.Since.IsZero() {
		q.fault("since", "and cursor exclude each other")
	}
	return a.operateWith(r, q, http.StatusOK, func(c store.Connection, stream string) error {
		err := a.cfg.Operations.Reset(r.Context(), c.ID, stream, to)
		if unfit, ok := errors.AsType[*framework.CursorError](err); ok && to.Cursor != nil {
			return unfitCursor(stream, to.Cursor, unfit)
		}
		if errors.Is(err, scheduler.ErrResetTo) {
			return newProblem(http.StatusUnprocessableEntity, "no_range", err.Error())
		}
		return err
	})
}

// operate does something with a poll stream and answers with its view.
func (a *API) operate(r *http.Request, status int, do func(c store.Connection, stream string) error) (reply, error) {
	return a.operateWith(r, newQuery(r), status, do)
}

// operateWith is operate after the parameters of q were read.
func (a *API) operateWith(r *http.Request, q *query, status int, do func(c store.Connection, stream string) error) (reply, error) {
	if err := q.err(); err != nil {
		return reply{}, err
	}
	t, err := a.pollTarget(r)
	if err != nil {
		return reply{}, err
	}
	if err := do(t.Connection, t.Stream.Key); err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return a.viewOf(r, status, t)
}
