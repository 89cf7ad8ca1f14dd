package api

import (
	"context"
	"encoding/json"
	"errors"
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

func letterOf(d store.DeadEvent, name func(store.Source) string) letterRow {
	return letterRow{
		ID: d.ID, Stream: name(d.Source), Sequence: d.Sequence, Reason: d.Reason, Attempts: d.Attempts, Status: d.Status,
		FirstAt: health.TimeOrNil(d.FirstAt), DeadAt: health.TimeOrNil(d.DeadAt), Discarded: d.Discarded, Note: orNil(d.Note),
	}
}

func (a *API) listDeadLetters(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit := q.limit()
	which, stream := a.selection(q)
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
	if err := a.ofStream(r, c, &which, stream); err != nil {
		return reply{}, err
	}
	name, err := a.streamNames(r.Context())
	if err != nil {
		return reply{}, err
	}
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
		out.DeadLetters = append(out.DeadLetters, letterOf(d, name))
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
	if errors.Is(err, store.ErrNotFound) {
		return reply{}, noLetter(c, chi.URLParam(r, "letter"))
	}
	if err != nil {
		return reply{}, fmt.Errorf("dead letter %s: %w", shown(chi.URLParam(r, "letter")), err)
	}
	name, err := a.streamNames(r.Context())
	if err != nil {
		return reply{}, err
	}
	row := letterOf(d, name)
	if len(d.Event) > 0 { // of an entity that was erased nothing is left
		if row.Event, err = delivery.DecodeEvent(d.Event); err != nil {
			return reply{}, err
		}
	}
	request, response := string(d.Request), strings.ToValidUTF8(string(d.Response), "\uFFFD")
	row.Request, row.Response = &request, &response
	return ok(row)
}

// noLetter says that a sink has no such dead letter.
func noLetter(c store.Connection, id string) error {
	return newProblem(http.StatusNotFound, "unknown_dead_letter", "sink "+shown(c.Name)+" has no dead letter "+shown(id)+": it was sent again, or it was removed when it was too old")
}

// selection reads which dead letters are meant: those of a stream, with a status,
// given up within some time.
func (a *API) selection(q *query) (which store.DeadEvents, stream [2]string) {
	which = store.DeadEvents{From: q.moment("from"), To: q.moment("to")}
	if _, given := q.values["stream"]; given {
		stream[0], stream[1] = q.streamParameter()
	} else {
		_, _ = q.text("stream")
	}
	return which, stream
}

// ofStream finds the stream of a selection.
func (a *API) ofStream(r *http.Request, c store.Connection, which *store.DeadEvents, stream [2]string) error {
	which.ConnectionID = c.ID
	if stream[0] == "" {
		return nil
	}
	t, err := a.cfg.Board.Find(r.Context(), c.Project, stream[0], stream[1])
	which.Source = store.Source{ConnectionID: t.Connection.ID, Stream: stream[1]}
	return err
}

// letters reads which dead letters are meant: one, or a selection. That all are
// must be said.
func (a *API) letters(r *http.Request, q *query, c store.Connection) (id string, which store.DeadEvents, err error) {
	id, one := q.text("id")
	which, stream := a.selection(q)
	all, _ := q.text("all")
	if one && !letterID.MatchString(id) {
		q.fault("id", "is %s; it must be the id of a dead letter, dlt_…", shown(id))
	}
	if !one && which.From.IsZero() && which.To.IsZero() && stream[0] == "" && all != "true" {
		q.fault("id", "is missing; name one dead letter, a stream, a time from or to, or all=true")
	}
	if err := q.err(); err != nil || one {
		return id, which, err
	}
	return "", which, a.ofStream(r, c, &which, stream)
}

type letterCount struct {
	DeadLetters int `json:"dead_letters"`
	// Redelivery is the id by which a redelivery of many is followed and canceled.
	Redelivery *string `json:"redelivery,omitempty"`
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
	id, which, err := a.letters(r, q, c)
	if err != nil {
		return reply{}, err
	}
	var done letterCount
	switch {
	case id != "":
		// Of many, some may be settled already; the one that is named must be there.
		if _, err := a.cfg.Sinks.DeadEvent(r.Context(), c.ID, id); errors.Is(err, store.ErrNotFound) {
			return reply{}, noLetter(c, id)
		}
		change.IDs = []string{id}
		done.DeadLetters, err = a.cfg.Sinks.Change(r.Context(), c.ID, *change)
	case change.Action == SinkRedeliver:
		change.Action, change.Letters = SinkRedeliverAll, &which
		change.Redelivery = store.NewID(delivery.RedeliveryPrefix, time.Now())
		if done.DeadLetters, err = a.cfg.Sinks.Change(r.Context(), c.ID, *change); done.DeadLetters > 0 {
			done.Redelivery = &change.Redelivery
		}
	default:
		done.DeadLetters, err = DiscardAll(r.Context(), a.cfg.Sinks, which, change.Reason)
	}
	if err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return ok(done)
}

// DiscardAll settles the dead letters of a sink that which selects with a reason, a
// page at a time, and returns how many.
func DiscardAll(ctx context.Context, sinks Sinks, which store.DeadEvents, reason string) (total int, err error) {
	for {
		list, err := sinks.DeadEvents(ctx, which, maxLimit)
		if err != nil {
			return total, fmt.Errorf("list dead letters: %w", err)
		}
		change := SinkChange{Action: SinkDiscard, Reason: reason}
		for _, d := range list {
			change.IDs, which.Before = append(change.IDs, d.ID), d.ID
		}
		if len(list) > 0 {
			n, err := sinks.Change(ctx, which.ConnectionID, change)
			if total += n; err != nil {
				return total, err
			}
		}
		if len(list) < maxLimit {
			return total, nil
		}
	}
}

// cancelRedelivery ends a redelivery of many.
func (a *API) cancelRedelivery(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	id := chi.URLParam(r, "redelivery")
	_, err = a.cfg.Sinks.Change(r.Context(), c.ID, SinkChange{Action: SinkCancel, Redelivery: id})
	if errors.Is(err, store.ErrNotFound) {
		return reply{}, newProblem(http.StatusNotFound, "unknown_redelivery", "sink "+shown(c.Name)+" has no redelivery "+shown(id)+" that goes on")
	}
	if err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return a.shownSink(r)
}
