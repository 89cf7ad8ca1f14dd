package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// shownLetters is how many of the newest dead letters a page lists.
const shownLetters = 20

// sinkRow is a sink as the overview shows it.
type sinkRow struct {
	health.SinkView
	Href string
	// Word is what it is doing, and Mark the class of its color.
	Word, Mark string
	Last       *moment
	ErrorText  string
}

func (d *Dashboard) sinkRows(views []health.SinkView) map[string]*sinkRow {
	rows := map[string]*sinkRow{}
	for _, v := range views {
		row := d.sinkRow(v)
		rows[v.ConnectionID] = &row
	}
	return rows
}

func (d *Dashboard) sinkRow(v health.SinkView) sinkRow {
	row := sinkRow{SinkView: v, Href: sinkPath(v.Project, v.Connection), Word: v.State, Last: d.moment(v.DeliveredAt)}
	switch {
	case v.State == string(delivery.StateFailed):
		row.Mark = "failing"
	case v.State == string(delivery.StateDisabled) && v.Reason != nil:
		row.Mark, row.Word = "failing", "disabled itself"
	case v.State == string(delivery.StateDisabled):
		row.Mark = "disabled"
	case v.State != string(delivery.StateRunning):
		row.Mark = "paused"
	case v.FailingSince != nil:
		row.Mark, row.Word = "failing", "endpoint fails"
	case v.LastError != nil && v.ConsecutiveFailures > 0:
		row.Mark, row.Word = "late", "retrying"
	case v.Lag == 0 && v.Parked == 0:
		row.Mark, row.Word = "healthy", "up to date"
	default:
		row.Mark, row.Word = "running", "delivering"
	}
	switch {
	case v.Reason != nil:
		row.ErrorText = visible(*v.Reason)
	case v.LastError != nil && v.ConsecutiveFailures > 0:
		row.ErrorText = visible(*v.LastError)
	}
	return row
}

// sinkPath is the address of a sink's page.
func sinkPath(project, connection string) string {
	return "/sinks/" + url.PathEscape(project) + "/" + url.PathEscape(connection)
}

type sinkBody struct {
	sinkRow
	Path  string
	Order string
	// OrderWords says what the order promises.
	OrderWords string
	// Operable says that there is a running process to ask; Working that it delivers.
	Operable, Working bool
	InFlight          int
	Breaker           *moment
	Offsets           []offsetLine
	Replays           []replayLine
	Redeliveries      []redeliveryLine
	Recent            []attemptLine
	Letters           []letterLine
	MoreLetters       bool
}

type offsetLine struct {
	store.Offset
	Name      string
	Head, Lag int64
	Last      *moment
	ErrorText string
}

type replayLine struct {
	delivery.Replay
	Name    string
	Percent int
}

type redeliveryLine struct {
	ID, Name, Rate, Path string
	Taken, Total         int64
}

type attemptLine struct {
	delivery.Recent
	Name, Took, Word, Mark, Text string
	When                         moment
}

type letterLine struct {
	store.DeadEvent
	Name string
	When *moment
	Text string
	Path string
}

// orderWords say what a sink's order promises.
var orderWords = map[sink.Order]string{
	sink.Ordered:   "one request at a time for each stream; a failing event holds its stream",
	sink.PerKey:    "a failing event holds the later ones of its entity, and nothing else",
	sink.Unordered: "nothing waits for a failing event",
}

// sink shows one sink.
func (d *Dashboard) sink(w http.ResponseWriter, r *http.Request) {
	c, err := d.sinkOf(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body, err := d.sinkBody(r.Context(), c)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	title := c.Name
	if body.Ailing() {
		title = body.Word + ": " + title
	}
	d.render(w, r, http.StatusOK, "sink.html", page{Title: title, SignedIn: d.cfg.Sessions.NeedsSignIn(), Live: true, Body: body})
}

// sinkOf finds the sink that the path names.
func (d *Dashboard) sinkOf(r *http.Request) (store.Connection, error) {
	c, err := d.cfg.Board.Connection(r.Context(), chi.URLParam(r, "project"), chi.URLParam(r, "connection"))
	if err == nil && (c.Type != "sink" || d.cfg.Sinks == nil) {
		err = &api.ConflictError{Err: fmt.Errorf("connection %q is a %s, which delivers nothing", c.Name, c.Type)}
	}
	return c, err
}

func (d *Dashboard) sinkBody(ctx context.Context, c store.Connection) (sinkBody, error) {
	views, err := d.cfg.Board.Sinks(ctx, c.Project)
	if err != nil {
		return sinkBody{}, err
	}
	i := slices.IndexFunc(views, func(v health.SinkView) bool { return v.ConnectionID == c.ID })
	if i < 0 {
		return sinkBody{}, store.ErrNotFound
	}
	body := sinkBody{sinkRow: d.sinkRow(views[i]), Path: sinkPath(c.Project, c.Name)}
	names, err := d.connectionNames(ctx)
	if err != nil {
		return body, err
	}
	name := func(s store.Source) string { return names[s.ConnectionID] + "." + s.Stream }
	offsets, err := d.cfg.Sinks.Offsets(ctx, c.ID)
	if err != nil {
		return body, fmt.Errorf("list offsets: %w", err)
	}
	if c.Enabled {
		if s, err := d.cfg.Sinks.Snapshot(ctx, c.ID); err == nil {
			offsets = d.running(&body, s, offsets, name)
		} else {
			d.cfg.Log.WarnContext(ctx, "ask a sink what it is doing", "connection", c.Name, "err", err)
		}
	}
	for _, o := range offsets {
		head, err := d.cfg.Sinks.Head(ctx, o.Source)
		if err != nil {
			return body, err
		}
		line := offsetLine{Offset: o, Name: name(o.Source), Head: head, Lag: max(head+1-o.Next, 0), Last: d.moment(health.TimeOrNil(o.DeliveredAt))}
		if o.ConsecutiveFailures > 0 {
			line.ErrorText = visible(o.LastError)
		}
		body.Offsets = append(body.Offsets, line)
	}
	letters, err := d.cfg.Sinks.DeadEvents(ctx, store.DeadEvents{ConnectionID: c.ID}, shownLetters+1)
	if err != nil {
		return body, fmt.Errorf("list dead letters: %w", err)
	}
	for _, one := range letters[:min(len(letters), shownLetters)] {
		body.Letters = append(body.Letters, d.letterLine(body.Path, one, name))
	}
	body.MoreLetters = len(letters) > shownLetters
	return body, nil
}

// running fills in what the process says that has the sink.
func (d *Dashboard) running(body *sinkBody, s delivery.Snapshot, offsets []store.Offset, name func(store.Source) string) []store.Offset {
	body.Operable, body.Working = true, s.State.Working()
	body.Order, body.OrderWords, body.InFlight = string(s.Order), orderWords[s.Order], s.InFlight
	body.Breaker = d.due(health.TimeOrNil(s.BreakerUntil))
	now := d.cfg.Board.Now()
	for _, one := range s.Streams {
		if !slices.ContainsFunc(offsets, func(o store.Offset) bool { return o.Source == one.Source }) {
			offsets = append(offsets, store.Offset{Source: one.Source, Next: one.Next})
		}
	}
	for _, one := range s.Replays {
		body.Replays = append(body.Replays, replayLine{one, name(one.Source), int(100 * (one.Next - one.From) / max(one.To-one.From+1, 1))})
	}
	for _, one := range s.Redeliveries {
		line := redeliveryLine{
			ID: one.ID, Name: "all", Rate: "unbounded", Path: body.Path + "/redeliveries/" + url.PathEscape(one.ID),
			Taken: int64(one.Taken), Total: int64(one.Total),
		}
		if one.Source != (store.Source{}) {
			line.Name = name(one.Source)
		}
		if one.Every > 0 {
			line.Rate = strconv.FormatFloat(float64(time.Second)/float64(one.Every), 'g', 4, 64) + "/s"
		}
		body.Redeliveries = append(body.Redeliveries, line)
	}
	for _, one := range s.Recent {
		line := attemptLine{Recent: one, Name: name(one.Source), Took: took(one.Took), Text: visible(one.Reason), When: moment{one.At, relative(one.At, now)}}
		line.Word, line.Mark = outcomeWords(one.Verdict)
		body.Recent = append(body.Recent, line)
	}
	return offsets
}

// outcomeWords say what became of an attempt.
func outcomeWords(v sink.Verdict) (word, mark string) {
	switch v {
	case sink.Delivered:
		return "delivered", "healthy"
	case sink.Retry:
		return "tried again", "late"
	case sink.Split:
		return "halved", "late"
	case sink.GiveUp:
		return "given up", "failing"
	case sink.Stop, sink.Disable:
		return "sink stopped", "failing"
	}
	return v.String(), "paused"
}

func (d *Dashboard) letterLine(path string, one store.DeadEvent, name func(store.Source) string) letterLine {
	return letterLine{
		DeadEvent: one, Name: name(one.Source), When: d.moment(health.TimeOrNil(one.DeadAt)), Text: visible(one.Reason),
		Path: path + "/dead-letters/" + url.PathEscape(one.ID),
	}
}

// connectionNames are the names of all connections by id.
func (d *Dashboard) connectionNames(ctx context.Context) (map[string]string, error) {
	all, err := d.cfg.Board.Connections(ctx, "")
	names := make(map[string]string, len(all))
	for _, c := range all {
		names[c.ID] = c.Name
	}
	return names, err
}

// sinkActions are what the buttons of a sink's page ask for.
var sinkActions = map[string]api.SinkAction{
	"pause": api.SinkPause, "resume": api.SinkResume, "stop": api.SinkStop, "restart": api.SinkResume,
}

// actOnSink does what a button asks and shows the sink again.
func (d *Dashboard) actOnSink(w http.ResponseWriter, r *http.Request) {
	action, ok := sinkActions[chi.URLParam(r, "action")]
	if !ok {
		ErrorPage(w, r, http.StatusNotFound, http.StatusText(http.StatusNotFound), "a sink can be asked to pause, resume, stop and restart")
		return
	}
	desk := d.cfg.Connections
	if desk == nil {
		d.changeSink(w, r, api.SinkChange{Action: action})
		return
	}
	// What is asked of the sink is kept as the state of its connection.
	d.onSink(w, r, func(ctx context.Context, c store.Connection) error {
		view, err := desk.Get(ctx, c.Project, c.Name)
		if err != nil {
			return err
		}
		if view.Revision == 0 { // made before connections had revisions
			_, err = d.cfg.Sinks.Change(ctx, c.ID, api.SinkChange{Action: action})
			return err
		}
		waits := view.State == resource.StatePaused || view.State == resource.StateStopped
		if chi.URLParam(r, "action") == "restart" && !waits {
			_, err = desk.Restart(ctx, c.Project, c.Name)
			return err
		}
		to := map[api.SinkAction]store.Desired{
			api.SinkPause: store.DesiredPaused, api.SinkResume: store.DesiredRunning, api.SinkStop: store.DesiredStopped,
		}[action]
		_, err = desk.SetState(ctx, c.Project, c.Name, to, asked(r))
		return err
	})
}

func (d *Dashboard) changeSink(w http.ResponseWriter, r *http.Request, change api.SinkChange) {
	d.onSink(w, r, func(ctx context.Context, c store.Connection) error {
		_, err := d.cfg.Sinks.Change(ctx, c.ID, change)
		return err
	})
}

// onSink does something with the sink that the path names and shows it.
func (d *Dashboard) onSink(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, c store.Connection) error) {
	c, err := d.sinkOf(r)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), 25*time.Second)
		defer cancel()
		err = do(ctx, c)
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.cfg.Feed.Notify()
	http.Redirect(w, r, sinkPath(c.Project, c.Name), http.StatusSeeOther)
}
