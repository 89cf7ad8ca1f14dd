package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

const (
	// shownRuns and shownEvents are how many recent ones a stream's page lists.
	shownRuns, shownEvents = 20, 20
	// shownPayload is where a payload is cut on a page; the API has all of it.
	shownPayload = 16 << 10
	shownCursor  = 4 << 10
)

type streamBody struct {
	row
	Path string
	// Paragraphs are those of the stream's doc comment.
	Paragraphs []string
	Operable   bool
	// Held streams run again when they are resumed.
	Held      bool
	Endpoints []endpointLine
	// Deliveries is nil for a stream that is polled.
	Deliveries *deliveryLines
	Checkpoint *checkpointLines
	Backfills  []backfillLine
	Runs       []runLine
	Events     []eventLine
}

type checkpointLines struct {
	Cursor     string
	Version    int
	From, To   *moment
	WindowDone *moment
	RunID      string
	UpdatedAt  *moment
}

type runLine struct {
	store.Run
	Label               string
	Started             moment
	Took                string
	ErrorText, StackRaw string
}

type eventLine struct {
	ingest.Event
	Recorded, Happened moment
	Payload            string
	Cut                bool
	Href               string
}

func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request) {
	t, err := d.target(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body, err := d.streamBody(r, t)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.render(w, r, http.StatusOK, "stream.html", page{
		Title: t.Connection.Name + "." + t.Stream.Key + " is " + body.State.Label(), SignedIn: d.cfg.Sessions.NeedsSignIn(), Live: true, Body: body,
	})
}

// quarantined reports that a stream fails and no run of it is due: handlers of
// its connection hang, or it ended the process. It waits to be resumed.
func quarantined(v health.View) bool {
	return v.Mode == catalog.ModePoll && v.State == health.Failing && v.NextRunAt == nil
}

func (d *Dashboard) target(r *http.Request) (health.Target, error) {
	return d.cfg.Board.Find(r.Context(), chi.URLParam(r, "project"), chi.URLParam(r, "connection"), chi.URLParam(r, "stream"))
}

func (d *Dashboard) streamBody(r *http.Request, t health.Target) (streamBody, error) {
	v, err := d.cfg.Board.View(r.Context(), t)
	if err != nil {
		return streamBody{}, err
	}
	body := streamBody{
		row: d.row(v), Path: streamPath(v), Paragraphs: paragraphs(v.Description),
		Operable: api.CheckOperable(t) == nil, Held: v.State == health.Paused || quarantined(v),
	}
	if t.Stream.Mode == catalog.ModeWebhook {
		if body.Endpoints, err = d.endpoints(r, t); err != nil {
			return body, err
		}
		if body.Deliveries, err = d.deliveries(r.Context(), t); err != nil {
			return body, err
		}
	} else if body.Checkpoint, err = d.checkpoint(r.Context(), t); err != nil {
		return body, err
	}
	if body.Backfills, err = d.backfills(r.Context(), t); err != nil {
		return body, err
	}
	if body.Runs, err = d.runs(r.Context(), t); err != nil {
		return body, err
	}
	body.Events, err = d.events(r.Context(), t, v)
	return body, err
}

func (d *Dashboard) checkpoint(ctx context.Context, t health.Target) (*checkpointLines, error) {
	c, ok, err := d.cfg.Store.Checkpoint(ctx, t.Connection.ID, t.Stream.Key, store.LaneLive)
	if err != nil || !ok {
		return nil, err
	}
	cursor, _ := pretty(c.Cursor, shownCursor)
	at := func(t time.Time) *moment { return d.moment(health.TimeOrNil(t)) }
	return &checkpointLines{
		Cursor: cursor, Version: c.CursorVersion, From: at(c.From), To: at(c.To), WindowDone: at(c.WindowDone),
		RunID: c.RunID, UpdatedAt: at(c.UpdatedAt),
	}, nil
}

func (d *Dashboard) runs(ctx context.Context, t health.Target) ([]runLine, error) {
	runs, err := d.cfg.Store.Runs(ctx, t.Connection.ID, t.Stream.Key, "", shownRuns)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	now := d.cfg.Board.Now()
	var out []runLine
	for _, run := range runs {
		end := run.FinishedAt
		if end.IsZero() {
			end = now
		}
		out = append(out, runLine{
			Run: run, Label: string(run.State), Started: moment{run.StartedAt, relative(run.StartedAt, now)},
			Took: took(end.Sub(run.StartedAt)), ErrorText: visible(run.Error), StackRaw: visible(run.Stack),
		})
	}
	return out, nil
}

// events are the newest ones, newest first. Sequences are gapless, so the head
// says where they begin.
func (d *Dashboard) events(ctx context.Context, t health.Target, v health.View) ([]eventLine, error) {
	now := d.cfg.Board.Now()
	var out []eventLine
	for after := max(0, v.EventsTotal-shownEvents); len(out) < shownEvents; {
		events, err := d.cfg.Store.Events(ctx, t.Connection.ID, t.Stream.Key, after, shownEvents-len(out))
		if _, trimmed := errors.AsType[*ingest.TrimmedError](err); trimmed {
			events, err = d.cfg.Store.Events(ctx, t.Connection.ID, t.Stream.Key, -1, shownEvents-len(out))
		}
		if err != nil {
			return nil, fmt.Errorf("list events: %w", err)
		}
		if len(events) == 0 {
			break
		}
		after = events[len(events)-1].Sequence
		for i := range events {
			out = append(out, eventLineOf(t, &events[i], now))
		}
	}
	slices.Reverse(out)
	return out, nil
}

func eventLineOf(t health.Target, e *ingest.Event, now time.Time) eventLine {
	line := eventLine{
		Event: *e, Recorded: moment{e.RecordedAt, relative(e.RecordedAt, now)}, Happened: moment{e.Time, relative(e.Time, now)},
		Href: "/api/v1/projects/" + url.PathEscape(t.Connection.Project) + "/connections/" + url.PathEscape(t.Connection.ID) +
			"/streams/" + url.PathEscape(t.Stream.Key) + "/events?after=" + strconv.FormatInt(e.Sequence-1, 10) + "&limit=1",
	}
	if len(e.Payload) > 0 {
		line.Payload, line.Cut = pretty(e.Payload, shownPayload)
	}
	line.Event.Payload = nil // which may be large; what is shown of it is its own
	return line
}

// act does what a button asks and shows the stream again.
func (d *Dashboard) act(w http.ResponseWriter, r *http.Request) {
	t, err := d.target(r)
	if err == nil {
		err = api.CheckOperable(t)
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	switch chi.URLParam(r, "action") {
	case "run":
		err = d.cfg.Operations.RunNow(r.Context(), t.Connection.ID, t.Stream.Key)
	case "pause":
		err = d.cfg.Operations.SetPaused(r.Context(), t.Connection.ID, t.Stream.Key, true)
	case "resume":
		err = d.cfg.Operations.SetPaused(r.Context(), t.Connection.ID, t.Stream.Key, false)
	default:
		ErrorPage(w, r, http.StatusNotFound, http.StatusText(http.StatusNotFound), "a stream can be asked to run, pause and resume")
		return
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.cfg.Feed.NotifyProject(t.Connection.Project)
	view := health.View{Project: t.Connection.Project, Connection: t.Connection.Name, Stream: t.Stream.Key}
	http.Redirect(w, r, streamPath(view), http.StatusSeeOther)
}

// paragraphs splits a doc comment at its empty lines.
func paragraphs(text string) []string {
	var out []string
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.Join(strings.Fields(p), " "); p != "" {
			out = append(out, p)
		}
	}
	return out
}
