package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// spot says where in a stream something is to begin or end: a sequence, a time
// of recording, the beginning or the end.
type spot struct {
	word     string
	sequence int64
	at       time.Time
}

// Words for the ends of a stream.
const (
	earliest = "earliest"
	latest   = "latest"
)

// spot reads a parameter that is a place; words may be given where ends is set.
func (q *query) spot(name string, ends bool) (p spot, given bool) {
	text, given := q.text(name)
	if !given {
		return p, false
	}
	if ends && (text == earliest || text == latest) {
		p.word = text
		return p, true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 1 {
		p.sequence = n
		return p, true
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			p.at = t
			return p, true
		}
	}
	words := ""
	if ends {
		words = ", earliest or latest"
	}
	q.fault(name, "is %s; it must be a sequence from 1 up, a date or RFC 3339 time of recording%s", shown(text), words)
	return p, false
}

// streamParameter reads the id of a stream.
func (q *query) streamParameter() (connection, key string) {
	id, given := q.text("stream")
	connection, key, ok := strings.Cut(id, ".")
	if !given || !ok {
		q.fault("stream", "is missing or no id; name a stream as <connection>.<key>")
	}
	return connection, key
}

// resolve returns the sequence of the first event at or after a place; the one
// after the last where there is none.
func (a *API) resolve(ctx context.Context, s store.Source, p spot) (int64, error) {
	switch {
	case p.sequence > 0:
		return p.sequence, nil
	case p.word == latest:
		head, err := a.cfg.Sinks.Head(ctx, s)
		return head + 1, err
	case p.word == earliest:
		return a.first(ctx, s)
	}
	low, err := a.first(ctx, s)
	if err != nil {
		return 0, err
	}
	head, err := a.cfg.Sinks.Head(ctx, s)
	if err != nil {
		return 0, err
	}
	// Events are recorded in the order of their sequences.
	for high := head + 1; low < high; {
		middle := low + (high-low)/2
		events, err := a.cfg.Store.Events(ctx, s.ConnectionID, s.Stream, middle-1, 1)
		if trimmed, ok := errors.AsType[*ingest.TrimmedError](err); ok {
			low = max(trimmed.First, middle+1) // retention went on meanwhile
			continue
		}
		if err != nil {
			return 0, err
		}
		if len(events) == 0 || !events[0].RecordedAt.Before(p.at) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// moveOffset moves the offset of a stopped sink: to a place of a stream, or over
// some events.
func (a *API) moveOffset(r *http.Request) (reply, error) {
	q := newQuery(r)
	name, key := q.streamParameter()
	to, given := q.spot("to", true)
	_, skips := q.values["skip"]
	skip := q.number("skip", 0, 1, math.MaxInt32)
	if !given && !skips && len(q.faults) == 0 || given && skips {
		q.fault("to", "or skip is required, and not both: where to go on, or how many events to leave out")
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, source, err := a.sinkAndSource(r, name, key)
	if err != nil {
		return reply{}, err
	}
	var next int64
	if skips {
		next, err = a.next(r.Context(), c, source)
		next += skip
	} else {
		next, err = a.resolve(r.Context(), source, to)
	}
	if err != nil {
		return reply{}, err
	}
	head, err := a.cfg.Sinks.Head(r.Context(), source)
	if err != nil {
		return reply{}, err
	}
	if next > head+1 {
		return reply{}, newProblem(http.StatusUnprocessableEntity, "beyond_the_end", fmt.Sprintf(
			"the last event of %s is %d, so %d would leave out events that are still to come; the furthest is %d, which to=latest says too", shown(name+"."+key), head, next, head+1))
	}
	if _, err := a.cfg.Sinks.Change(r.Context(), c.ID, SinkChange{Action: SinkSeek, Source: source, Next: next}); err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return a.shownSink(r)
}

// next is the next event of a stream that the sink delivers.
func (a *API) next(ctx context.Context, c store.Connection, source store.Source) (int64, error) {
	offsets, err := a.cfg.Sinks.Offsets(ctx, c.ID)
	for _, o := range offsets {
		if o.Source == source {
			return o.Next, err
		}
	}
	if err != nil {
		return 0, err
	}
	return a.first(ctx, source)
}

// sinkAndSource finds the sink of the path and a stream.
func (a *API) sinkAndSource(r *http.Request, connection, key string) (store.Connection, store.Source, error) {
	c, err := a.sinkOf(r)
	if err != nil {
		return c, store.Source{}, err
	}
	t, err := a.cfg.Board.Find(r.Context(), c.Project, connection, key)
	return c, store.Source{ConnectionID: t.Connection.ID, Stream: key}, err
}

// startReplay delivers a range of a stream to the sink again.
func (a *API) startReplay(r *http.Request) (reply, error) {
	q := newQuery(r)
	name, key := q.streamParameter()
	from, given := q.spot("from", false)
	to, ends := q.spot("to", false)
	if _, is := q.values["from"]; !is && !given {
		q.fault("from", "is missing: the sequence or time of recording of the first event to deliver again")
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, source, err := a.sinkAndSource(r, name, key)
	if err != nil {
		return reply{}, err
	}
	change := SinkChange{Action: SinkReplay, Source: source}
	if change.Next, err = a.resolve(r.Context(), source, from); err != nil {
		return reply{}, err
	}
	if !ends {
		to = spot{word: latest}
	}
	if change.To, err = a.resolve(r.Context(), source, to); err != nil {
		return reply{}, err
	}
	if to.sequence == 0 {
		change.To-- // a time or the end is not part of the range
	}
	if change.To < change.Next {
		return reply{}, newProblem(http.StatusUnprocessableEntity, "no_range", "there is no event in that range")
	}
	if _, err := a.cfg.Sinks.Change(r.Context(), c.ID, change); err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return a.shownSink(r)
}

// cancelReplay ends a replay.
func (a *API) cancelReplay(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	c, err := a.sinkOf(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := a.cfg.Sinks.Change(r.Context(), c.ID, SinkChange{Action: SinkCancel, Replay: chi.URLParam(r, "replay")}); err != nil {
		return reply{}, err
	}
	a.cfg.Feed.NotifyProject(project(r))
	return a.shownSink(r)
}

// first is the sequence of the first event that is kept of a stream, or of the
// next one where none is.
func (a *API) first(ctx context.Context, s store.Source) (int64, error) {
	events, err := a.cfg.Store.Events(ctx, s.ConnectionID, s.Stream, -1, 1)
	if err != nil {
		return 0, err
	}
	if len(events) > 0 {
		return events[0].Sequence, nil
	}
	head, err := a.cfg.Sinks.Head(ctx, s)
	return head + 1, err
}
