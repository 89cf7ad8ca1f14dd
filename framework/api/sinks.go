package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Sinks is what an operator sees of sinks, and may do with them.
type Sinks interface {
	// Offsets lists the offsets of a sink.
	Offsets(ctx context.Context, connectionID string) ([]store.Offset, error)
	// DeadEvents lists dead letters, newest first.
	DeadEvents(ctx context.Context, which store.DeadEvents, limit int) ([]store.DeadEvent, error)
	// DeadEvent returns one dead letter whole, or store.ErrNotFound.
	DeadEvent(ctx context.Context, connectionID, id string) (store.DeadEvent, error)
	// Head is the last sequence of a stream.
	Head(ctx context.Context, source store.Source) (int64, error)
	// Snapshot says what a running sink is doing.
	Snapshot(ctx context.Context, connectionID string) (delivery.Snapshot, error)
	// Change carries c out and returns how many dead letters it was about. Errors
	// that the state of the sink is the reason of are [ConflictError]s.
	Change(ctx context.Context, connectionID string, c SinkChange) (int, error)
}

// SinkAction says what is to be done with a sink.
type SinkAction string

// Actions of an operator.
const (
	SinkPause     SinkAction = "pause"
	SinkResume    SinkAction = "resume"
	SinkStop      SinkAction = "stop"
	SinkSeek      SinkAction = "seek"
	SinkRedeliver SinkAction = "redeliver"
	SinkDiscard   SinkAction = "discard"
)

// SinkChange asks something of a sink.
type SinkChange struct {
	Action SinkAction
	// Source and Next are the stream and the sequence to go on at, for SinkSeek.
	Source store.Source
	Next   int64
	// IDs are dead letters. Redelivered ones are due one every so often, and
	// carry Payload instead of their own where it is set.
	IDs     []string
	Every   time.Duration
	Payload []byte
	// Reason says why dead letters are discarded.
	Reason string
}

// sinkRoutes are there when the process has sinks.
func (a *API) sinkRoutes(prefix string) {
	c := prefix + "/connections/{connection}"
	a.router.Get(c+"/offsets", a.answer(a.getOffsets))
	a.router.Post(c+"/offsets", a.answer(a.moveOffset))
	a.router.Post(c+"/stop", a.answer(a.stopSink))
	a.router.Post(c+"/restart", a.answer(a.restartSink))
	a.router.Get(c+"/dead-letters", a.answer(a.listDeadLetters))
	a.router.Get(c+"/dead-letters/{letter}", a.answer(a.getDeadLetter))
	a.router.Post(c+"/dead-letters/redeliver", a.answer(a.redeliverDeadLetters))
	a.router.Post(c+"/dead-letters/discard", a.answer(a.discardDeadLetters))
}

// editLimit bounds the payload of a dead letter that was edited.
const editLimit = 1 << 20

// sinkTable are the rows of these routes. Payloads and answers are for operators.
func sinkTable(prefix string) []Route {
	c := prefix + "/connections/{connection}"
	return []Route{
		{http.MethodGet, c + "/offsets", RoleViewer, 0, readDeadline, FaceAPI},
		{http.MethodPost, c + "/offsets", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodPost, c + "/stop", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodPost, c + "/restart", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodGet, c + "/dead-letters", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodGet, c + "/dead-letters/{letter}", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodPost, c + "/dead-letters/redeliver", RoleOperator, editLimit, pageDeadline, FaceAPI},
		{http.MethodPost, c + "/dead-letters/discard", RoleOperator, formLimit, pageDeadline, FaceAPI},
	}
}

// sinkOf finds the sink that the path names.
func (a *API) sinkOf(r *http.Request) (store.Connection, error) {
	c, err := a.connection(r)
	if err == nil && c.Type != typeSink {
		err = newProblem(http.StatusConflict, "no_sink", "connection "+shown(c.Name)+" is a "+c.Type+", which delivers nothing")
	}
	return c, err
}

const typeSink = "sink"

// offsetRow is how far a sink has got in a stream.
type offsetRow struct {
	// Stream is the stream's id, "<connection>.<key>".
	Stream string `json:"stream"`
	// Next is the sequence of the next event to deliver, Head the last one that is
	// recorded, and Lag how many are between. LowWater is the oldest event that is
	// still needed, a parked one or the next.
	Next                int64        `json:"next"`
	Head                int64        `json:"head"`
	Lag                 int64        `json:"lag"`
	LowWater            int64        `json:"low_water"`
	Parked              int64        `json:"parked"`
	Delivered           int64        `json:"delivered"`
	DeadLetters         int64        `json:"dead_letters"`
	DeliveredAt         *health.Time `json:"delivered_at"`
	LastError           *string      `json:"last_error"`
	LastErrorAt         *health.Time `json:"last_error_at"`
	ConsecutiveFailures int          `json:"consecutive_failures"`
}

// sinkView is what a sink is doing.
type sinkView struct {
	State  string       `json:"state"`
	Reason *string      `json:"reason"`
	Since  *health.Time `json:"since"`
	Order  string       `json:"order"`
	// InFlight and Recent are those of the process that has the sink.
	InFlight     int          `json:"in_flight"`
	Parked       int          `json:"parked"`
	BreakerUntil *health.Time `json:"breaker_until"`
	Offsets      []offsetRow  `json:"offsets"`
	Recent       []attemptRow `json:"recent"`
}

// attemptRow is one of the last attempts.
type attemptRow struct {
	At      *health.Time `json:"at"`
	Stream  string       `json:"stream"`
	Events  int          `json:"events"`
	Status  int          `json:"status"`
	Seconds float64      `json:"seconds"`
	Reason  *string      `json:"reason"`
}

// view says what a sink is doing and how far it is.
func (a *API) sinkView(ctx context.Context, c store.Connection) (sinkView, error) {
	v := sinkView{State: "disabled", Offsets: []offsetRow{}, Recent: []attemptRow{}}
	if c.Enabled {
		s, err := a.cfg.Sinks.Snapshot(ctx, c.ID)
		if err != nil {
			return v, err
		}
		v.State, v.Reason, v.Since, v.Order = string(s.State.Condition), orNil(s.State.Reason), health.TimeOrNil(s.State.Since), string(s.Order)
		v.InFlight, v.Parked, v.BreakerUntil = s.InFlight, s.Parked, health.TimeOrNil(s.BreakerUntil)
		for _, one := range s.Recent {
			v.Recent = append(v.Recent, attemptRow{health.TimeOrNil(one.At), one.Stream, one.Events, one.Status, one.Took.Seconds(), orNil(one.Reason)})
		}
	}
	offsets, err := a.cfg.Sinks.Offsets(ctx, c.ID)
	if err != nil {
		return v, fmt.Errorf("list offsets: %w", err)
	}
	for _, o := range offsets {
		head, err := a.cfg.Sinks.Head(ctx, o.Source)
		if err != nil {
			return v, err
		}
		v.Offsets = append(v.Offsets, offsetRow{
			Stream: a.streamID(ctx, o.Source), Next: o.Next, Head: head, Lag: max(head+1-o.Next, 0), LowWater: o.LowWater,
			Parked: o.Parked, Delivered: o.Delivered, DeadLetters: o.Dead, DeliveredAt: health.TimeOrNil(o.DeliveredAt),
			LastError: orNil(o.LastError), LastErrorAt: health.TimeOrNil(o.LastErrorAt), ConsecutiveFailures: o.ConsecutiveFailures,
		})
	}
	return v, nil
}

// streamID is the id of a stream within its project.
func (a *API) streamID(ctx context.Context, s store.Source) string {
	all, err := a.cfg.Board.Connections(ctx, "")
	if err == nil {
		for _, c := range all {
			if c.ID == s.ConnectionID {
				return c.Name + "." + s.Stream
			}
		}
	}
	return s.ConnectionID + "." + s.Stream
}

func (a *API) getOffsets(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	return a.shownSink(r)
}

func (a *API) shownSink(r *http.Request) (reply, error) {
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	v, err := a.sinkView(r.Context(), c)
	if err != nil {
		return reply{}, err
	}
	return ok(v)
}

// moveOffset moves the offset of a stopped sink: to a sequence, the beginning or
// the end of a stream, or over some events.
func (a *API) moveOffset(r *http.Request) (reply, error) {
	q := newQuery(r)
	id, given := q.text("stream")
	name, key, ok := strings.Cut(id, ".")
	if !given || !ok {
		q.fault("stream", "is missing or no id; name a stream as <connection>.<key>")
	}
	to, _ := q.text("to")
	next, err := strconv.ParseInt(to, 10, 64)
	if to != "earliest" && to != "latest" && (err != nil || next < 1) {
		q.fault("to", "is %s; it must be the sequence of the next event to deliver, earliest or latest", shown(to))
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	t, err := a.cfg.Board.Find(r.Context(), c.Project, name, key)
	if err != nil {
		return reply{}, err
	}
	source := store.Source{ConnectionID: t.Connection.ID, Stream: key}
	switch to {
	case "latest":
		if next, err = a.cfg.Sinks.Head(r.Context(), source); err != nil {
			return reply{}, err
		}
		next++
	case "earliest":
		if next, err = a.first(r.Context(), source); err != nil {
			return reply{}, err
		}
	}
	if _, err := a.cfg.Sinks.Change(r.Context(), c.ID, SinkChange{Action: SinkSeek, Source: source, Next: next}); err != nil {
		return reply{}, err
	}
	a.cfg.Feed.Notify()
	return a.shownSink(r)
}

// first is the sequence of the first event that is kept of a stream.
func (a *API) first(ctx context.Context, s store.Source) (int64, error) {
	var events []ingest.Event
	events, err := a.cfg.Store.Events(ctx, s.ConnectionID, s.Stream, -1, 1)
	if err != nil || len(events) == 0 {
		return 1, err
	}
	return events[0].Sequence, nil
}

func (a *API) stopSink(r *http.Request) (reply, error)    { return a.setSink(r, SinkStop) }
func (a *API) restartSink(r *http.Request) (reply, error) { return a.setSink(r, SinkResume) }

func (a *API) setSink(r *http.Request, action SinkAction) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := a.cfg.Sinks.Change(r.Context(), c.ID, SinkChange{Action: action}); err != nil {
		return reply{}, err
	}
	a.cfg.Feed.Notify()
	return a.shownSink(r)
}

// letterRow is a dead letter of a sink. The rest is shown of a single one.
type letterRow struct {
	ID        string       `json:"id"`
	Stream    string       `json:"stream"`
	Sequence  int64        `json:"sequence"`
	Reason    string       `json:"reason"`
	Attempts  int          `json:"attempts"`
	Status    int          `json:"status"`
	FirstAt   *health.Time `json:"first_at"`
	DeadAt    *health.Time `json:"dead_at"`
	Discarded bool         `json:"discarded"`
	Note      *string      `json:"note"`
	// Event, Request and Response are those of a single letter.
	Event    *ingest.Event `json:"event,omitempty"`
	Request  *string       `json:"request,omitempty"`
	Response *string       `json:"response,omitempty"`
}

type letterList struct {
	DeadLetters []letterRow `json:"dead_letters"`
	Next        *string     `json:"next"`
}

var letterID = regexp.MustCompile(`^dlt_[0-9a-z]{1,60}$`)

func (a *API) letterRow(ctx context.Context, d store.DeadEvent) letterRow {
	return letterRow{
		ID: d.ID, Stream: a.streamID(ctx, d.Source), Sequence: d.Sequence, Reason: d.Reason, Attempts: d.Attempts, Status: d.Status,
		FirstAt: health.TimeOrNil(d.FirstAt), DeadAt: health.TimeOrNil(d.DeadAt), Discarded: d.Discarded, Note: orNil(d.Note),
	}
}

func (a *API) listDeadLetters(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit := q.limit()
	which := store.DeadEvents{From: q.moment("from"), To: q.moment("to")}
	which.Before, _ = q.text("before")
	if which.Before != "" && !letterID.MatchString(which.Before) {
		q.fault("before", "is %s; it must be the id of a dead letter, or \"next\" of the last answer", shown(which.Before))
	}
	state, _ := q.text("state")
	if state != "" && state != "dead" && state != "discarded" {
		q.fault("state", "is %s; it must be dead or discarded", shown(state))
	}
	which.Discarded = state == "discarded"
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	which.ConnectionID = c.ID
	list, err := a.cfg.Sinks.DeadEvents(r.Context(), which, limit+1)
	if err != nil {
		return reply{}, fmt.Errorf("list dead letters: %w", err)
	}
	out := letterList{DeadLetters: []letterRow{}}
	if len(list) > limit {
		list = list[:limit]
		out.Next = &list[limit-1].ID
	}
	for _, d := range list {
		out.DeadLetters = append(out.DeadLetters, a.letterRow(r.Context(), d))
	}
	return ok(out)
}

func (a *API) getDeadLetter(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	d, err := a.cfg.Sinks.DeadEvent(r.Context(), c.ID, chi.URLParam(r, "letter"))
	if err != nil {
		return reply{}, fmt.Errorf("dead letter %s: %w", shown(chi.URLParam(r, "letter")), err)
	}
	row := a.letterRow(r.Context(), d)
	if row.Event, err = delivery.DecodeEvent(d.Event); err != nil {
		return reply{}, err
	}
	request, response := string(d.Request), strings.ToValidUTF8(string(d.Response), "\uFFFD")
	row.Request, row.Response = &request, &response
	return ok(row)
}

// letters reads which dead letters are meant. That all are must be said.
func (a *API) letters(r *http.Request, q *query, c store.Connection) ([]string, error) {
	id, one := q.text("id")
	which := store.DeadEvents{ConnectionID: c.ID, From: q.moment("from"), To: q.moment("to")}
	all, _ := q.text("all")
	if one && !letterID.MatchString(id) {
		q.fault("id", "is %s; it must be the id of a dead letter, dlt_…", shown(id))
	}
	if !one && which.From.IsZero() && which.To.IsZero() && all != "true" {
		q.fault("id", "is missing; name one dead letter, a time from or to, or all=true")
	}
	if err := q.err(); err != nil || one {
		return []string{id}, err
	}
	var ids []string
	for len(ids) < maxLetters {
		list, err := a.cfg.Sinks.DeadEvents(r.Context(), which, maxLimit)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		for _, d := range list {
			ids, which.Before = append(ids, d.ID), d.ID
		}
		if len(list) < maxLimit {
			break
		}
	}
	return ids[:min(len(ids), maxLetters)], nil
}

// maxLetters is how many dead letters one request changes.
const maxLetters = 5000

type letterCount struct {
	DeadLetters int `json:"dead_letters"`
}

func (a *API) redeliverDeadLetters(r *http.Request) (reply, error) {
	change := SinkChange{Action: SinkRedeliver}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return reply{}, newProblem(http.StatusRequestEntityTooLarge, "too_large", "the payload is larger than 1 MiB")
	}
	return a.changeLetters(r, &change, func(q *query) {
		if text, given := q.text("rate"); given {
			rate, err := strconv.ParseFloat(text, 64)
			if err != nil || rate < 0.001 || rate > maxRate {
				q.fault("rate", "is %s; it must be a number of events a second, from 0.001 to %d", shown(text), maxRate)
				return
			}
			change.Every = time.Duration(float64(time.Second) / rate)
		}
		if len(body) > 0 {
			if _, one := q.values["id"]; !one {
				q.fault("id", "is missing; a payload in the body replaces that of one dead letter")
			}
			if !json.Valid(body) {
				q.fault("payload", "in the body is no JSON")
			}
			change.Payload = body
		}
	})
}

func (a *API) discardDeadLetters(r *http.Request) (reply, error) {
	change := SinkChange{Action: SinkDiscard}
	return a.changeLetters(r, &change, func(q *query) {
		if change.Reason, _ = q.text("reason"); change.Reason == "" || len(change.Reason) > maxReason {
			q.fault("reason", "has %d bytes; say in 1 to %d why they are discarded", len(change.Reason), maxReason)
		}
	})
}

func (a *API) changeLetters(r *http.Request, change *SinkChange, read func(q *query)) (reply, error) {
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	q := newQuery(r)
	read(q)
	if change.IDs, err = a.letters(r, q, c); err != nil {
		return reply{}, err
	}
	if len(change.IDs) == 0 {
		return ok(letterCount{})
	}
	n, err := a.cfg.Sinks.Change(r.Context(), c.ID, *change)
	if err != nil {
		return reply{}, err
	}
	a.cfg.Feed.Notify()
	return ok(letterCount{n})
}
