package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// Sinks is what an operator sees of sinks, and may do with them.
type Sinks interface {
	// Offsets lists the offsets of a sink.
	Offsets(ctx context.Context, connectionID string) ([]store.Offset, error)
	// DeadEvents lists dead letters, newest first.
	DeadEvents(ctx context.Context, which store.DeadEvents, limit int) ([]store.DeadEvent, error)
	// DeadEvent returns one dead letter whole, or store.ErrNotFound.
	DeadEvent(ctx context.Context, connectionID, id string) (store.DeadEvent, error)
	// DeadCounts counts the dead letters that nobody has settled, by sink.
	DeadCounts(ctx context.Context, connectionID string) (map[string]int64, error)
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
	// SinkRedeliverAll is SinkRedeliver of any number, which Letters selects.
	SinkRedeliverAll SinkAction = "redeliver all"
	SinkDiscard      SinkAction = "discard"
	SinkReplay       SinkAction = "replay"
	SinkCancel       SinkAction = "cancel replay"
)

// SinkChange asks something of a sink.
type SinkChange struct {
	Action SinkAction
	// Source and Next are the stream and the sequence to go on at, for SinkSeek,
	// and where a SinkReplay begins, which ends with To.
	Source store.Source
	Next   int64
	To     int64
	// Replay or Redelivery is the id of what a SinkCancel is about; a
	// SinkRedeliverAll brings that of the redelivery to begin.
	Replay, Redelivery string
	// Letters selects dead letters for SinkRedeliverAll.
	Letters *store.DeadEvents
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
	a.router.Get(prefix+"/sinks", a.answer(a.listSinks))
	a.router.Get(c+"/offsets", a.answer(a.getOffsets))
	a.router.Post(c+"/offsets", a.answer(a.moveOffset))
	a.router.Post(c+"/replays", a.answer(a.startReplay))
	a.router.Post(c+"/replays/{replay}/cancel", a.answer(a.cancelReplay))
	a.router.Post(c+"/stop", a.answer(a.stopSink))
	a.router.Post(c+"/restart", a.answer(a.restartSink))
	a.router.Get(c+"/dead-letters", a.answer(a.listDeadLetters))
	a.router.Get(c+"/dead-letters/{letter}", a.answer(a.getDeadLetter))
	a.router.Post(c+"/dead-letters/redeliver", a.answer(a.redeliverDeadLetters))
	a.router.Post(c+"/dead-letters/discard", a.answer(a.discardDeadLetters))
	a.router.Post(c+"/redeliveries/{redelivery}/cancel", a.answer(a.cancelRedelivery))
}

// editLimit bounds the payload of a dead letter that was edited.
const editLimit = 1 << 20

// sinkTable are the rows of these routes. Payloads and answers are for operators.
func sinkTable(prefix string) []Route {
	c := prefix + "/connections/{connection}"
	return []Route{
		{http.MethodGet, prefix + "/sinks", RoleViewer, 0, readDeadline, FaceAPI},
		{http.MethodGet, c + "/offsets", RoleViewer, 0, readDeadline, FaceAPI},
		{http.MethodPost, c + "/offsets", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodPost, c + "/replays", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodPost, c + "/replays/{replay}/cancel", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodPost, c + "/stop", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodPost, c + "/restart", RoleOperator, formLimit, actDeadline, FaceAPI},
		{http.MethodGet, c + "/dead-letters", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodGet, c + "/dead-letters/{letter}", RoleOperator, 0, readDeadline, FaceAPI},
		{http.MethodPost, c + "/dead-letters/redeliver", RoleOperator, editLimit, pageDeadline, FaceAPI},
		{http.MethodPost, c + "/dead-letters/discard", RoleOperator, formLimit, pageDeadline, FaceAPI},
		{http.MethodPost, c + "/redeliveries/{redelivery}/cancel", RoleOperator, formLimit, actDeadline, FaceAPI},
	}
}

type sinkList struct {
	Sinks []health.SinkView `json:"sinks"`
}

// listSinks is the health of the sinks of a project.
func (a *API) listSinks(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	views, err := a.cfg.Board.Sinks(r.Context(), project(r))
	if err != nil {
		return reply{}, err
	}
	return ok(sinkList{views})
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
	Next      int64 `json:"next"`
	Head      int64 `json:"head"`
	Lag       int64 `json:"lag"`
	LowWater  int64 `json:"low_water"`
	Parked    int64 `json:"parked"`
	Delivered int64 `json:"delivered"`
	// DeadLetters is how many were given up so far, whatever became of them since.
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
	InFlight int `json:"in_flight"`
	Parked   int `json:"parked"`
	// DeadLetters is how many nobody has sent again or discarded.
	DeadLetters  int64        `json:"dead_letters"`
	BreakerUntil *health.Time `json:"breaker_until"`
	// FailingSince is when the endpoint began to fail, null while it does not.
	FailingSince *health.Time `json:"failing_since"`
	Offsets      []offsetRow  `json:"offsets"`
	Replays      []replayRow  `json:"replays"`
	// Redeliveries are those of many dead letters that go on; the first is at work.
	Redeliveries []redeliveryRow `json:"redeliveries"`
	Recent       []attemptRow    `json:"recent"`
}

// replayRow is a range that is delivered again.
type replayRow struct {
	ID     string       `json:"id"`
	Stream string       `json:"stream"`
	From   int64        `json:"from"`
	Next   int64        `json:"next"`
	To     int64        `json:"to"`
	At     *health.Time `json:"at"`
}

// redeliveryRow is a redelivery of many dead letters.
type redeliveryRow struct {
	ID string `json:"id"`
	// Stream is whose dead letters are meant, null for those of all.
	Stream *string `json:"stream"`
	// Total is how many there were, Taken how many had their turn.
	Total int `json:"total"`
	Taken int `json:"taken"`
	// Rate is how many are sent a second, 0 for as many as can be.
	Rate float64      `json:"rate"`
	At   *health.Time `json:"at"`
}

func redeliveryOf(one delivery.Redelivery, name func(store.Source) string) redeliveryRow {
	row := redeliveryRow{ID: one.ID, Total: one.Total, Taken: one.Taken, At: health.TimeOrNil(one.At)}
	if one.Source != (store.Source{}) {
		stream := name(one.Source)
		row.Stream = &stream
	}
	if one.Every > 0 {
		row.Rate = float64(time.Second) / float64(one.Every)
	}
	return row
}

// attemptRow is one of the last attempts.
type attemptRow struct {
	At      *health.Time `json:"at"`
	Stream  string       `json:"stream"`
	Events  int          `json:"events"`
	Status  int          `json:"status"`
	Seconds float64      `json:"seconds"`
	// Outcome is "delivered", "retry", "split", "give_up", "stop" or "disable".
	Outcome string  `json:"outcome"`
	Reason  *string `json:"reason"`
}

// sinkView says what a sink is doing and how far it is.
func (a *API) sinkView(ctx context.Context, c store.Connection) (sinkView, error) {
	v := sinkView{State: "disabled", Offsets: []offsetRow{}, Replays: []replayRow{}, Redeliveries: []redeliveryRow{}, Recent: []attemptRow{}}
	var reads []delivery.Progress
	name, err := a.streamNames(ctx)
	if err != nil {
		return v, err
	}
	if c.Enabled {
		s, err := a.cfg.Sinks.Snapshot(ctx, c.ID)
		if err != nil {
			return v, err
		}
		reads = s.Streams
		v.State, v.Reason, v.Since, v.Order = string(s.State.Condition), orNil(s.State.Reason), health.TimeOrNil(s.State.Since), string(s.Order)
		v.InFlight, v.Parked, v.BreakerUntil, v.FailingSince = s.InFlight, s.Parked, health.TimeOrNil(s.BreakerUntil), health.TimeOrNil(s.FailingSince)
		for _, one := range s.Recent {
			v.Recent = append(v.Recent, attemptRow{
				health.TimeOrNil(one.At), name(one.Source), one.Events, one.Status, one.Took.Seconds(), one.Verdict.String(), orNil(one.Reason),
			})
		}
		for _, one := range s.Replays {
			v.Replays = append(v.Replays, replayRow{one.ID, name(one.Source), one.From, one.Next, one.To, health.TimeOrNil(one.At)})
		}
		for _, one := range s.Redeliveries {
			v.Redeliveries = append(v.Redeliveries, redeliveryOf(one, name))
		}
	}
	offsets, err := a.cfg.Sinks.Offsets(ctx, c.ID)
	if err != nil {
		return v, fmt.Errorf("list offsets: %w", err)
	}
	counts, err := a.cfg.Sinks.DeadCounts(ctx, c.ID)
	if err != nil {
		return v, fmt.Errorf("count dead letters: %w", err)
	}
	v.DeadLetters = counts[c.ID]
	for _, one := range reads {
		// A stream that nothing was delivered of has no row yet.
		if !slices.ContainsFunc(offsets, func(o store.Offset) bool { return o.Source == one.Source }) {
			offsets = append(offsets, store.Offset{Source: one.Source, Next: one.Next, LowWater: one.Next})
		}
	}
	for _, o := range offsets {
		head, err := a.cfg.Sinks.Head(ctx, o.Source)
		if err != nil {
			return v, err
		}
		v.Offsets = append(v.Offsets, offsetRow{
			Stream: name(o.Source), Next: o.Next, Head: head, Lag: max(head+1-o.Next, 0), LowWater: o.LowWater,
			Parked: o.Parked, Delivered: o.Delivered, DeadLetters: o.Dead, DeliveredAt: health.TimeOrNil(o.DeliveredAt),
			LastError: orNil(o.LastError), LastErrorAt: health.TimeOrNil(o.LastErrorAt), ConsecutiveFailures: o.ConsecutiveFailures,
		})
	}
	return v, nil
}

// streamNames returns the function that gives the id of a stream within its project.
func (a *API) streamNames(ctx context.Context) (func(store.Source) string, error) {
	all, err := a.cfg.Board.Connections(ctx, "")
	names := make(map[string]string, len(all))
	for _, c := range all {
		names[c.ID] = c.Name
	}
	return func(s store.Source) string { return cmp.Or(names[s.ConnectionID], s.ConnectionID) + "." + s.Stream }, err
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
	a.cfg.Feed.NotifyProject(project(r))
	return a.shownSink(r)
}
