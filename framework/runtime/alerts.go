package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/alert"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

const (
	// alertEvery is how often the health of streams is looked at for alerts.
	alertEvery = 15 * time.Second
	// alertsWaiting is how many alerts of sinks wait to be recorded. What comes
	// beyond them is in the log only.
	alertsWaiting = 1000
	// alertStates begins the names of the troubles that were told of, among the
	// states of a connection of class alerts.
	alertStates = "alert/"
)

// heard takes a notice of a sink. It must not wait for the store.
func (r *Runtime) heard(n delivery.Notice) {
	a := alert.Alert{
		ID: n.ConnectionID + "/" + n.At.Format(time.RFC3339Nano), Kind: string(n.Happening), Project: n.Project, Connection: n.Connection,
		ConnectionID: n.ConnectionID, Reason: n.Reason, At: n.At,
	}
	select {
	case r.alerts <- a:
	default:
		r.log.Error("an alert is not recorded: too many wait", "connection", n.Connection, "kind", a.Kind, "reason", a.Reason)
	}
}

// tellAlerts records alerts until ctx ends.
func (r *Runtime) tellAlerts(ctx context.Context) {
	ticker := time.NewTicker(r.alertEvery)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case a := <-r.alerts:
			for _, c := range r.alertConnections(a.Project) {
				err = errors.Join(err, r.recordAlerts(ctx, c, 0, nil, a))
			}
		case <-ticker.C:
			err = r.lookAtStreams(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Error("record an alert", "err", err)
		}
	}
}

// alertConnections are the connections of a project, or of all for "", that take alerts.
func (r *Runtime) alertConnections(project string) (list []*connection) {
	for _, c := range r.all() {
		if c.plugin.Key() == alert.Connector && c.Enabled && c.binding != nil && (project == "" || c.Project == project) {
			list = append(list, c)
		}
	}
	return list
}

// recordAlerts appends alerts to the stream of one connection, and remembers the
// troubles that they are about.
func (r *Runtime) recordAlerts(ctx context.Context, c *connection, epoch int64, states []store.StateWrite, list ...alert.Alert) error {
	if len(list) == 0 {
		return nil
	}
	u := store.Unit{ID: store.NewCommitID(), ConnectionID: c.ID, Epoch: epoch, At: time.Now(), State: states}
	for _, a := range list {
		payload, err := json.Marshal(a)
		if err != nil {
			return err
		}
		u.Emissions = append(u.Emissions, ingest.Emission{
			Stream: alert.Stream, Type: a.Kind, Operation: ingest.Upsert, Key: ingest.VersionKey(a.ID, a.Kind), Time: a.At, Payload: payload,
		})
	}
	ctx, cancel := context.WithTimeout(ctx, alertEvery)
	defer cancel()
	_, err := waking{r.store, r.engine, r.deference}.Commit(ctx, u)
	if err == nil {
		r.feed.Notify()
	}
	return err
}

// lookAtStreams compares the health of the streams of each project with what was
// told of them.
func (r *Runtime) lookAtStreams(ctx context.Context) error {
	var errs []error
	for _, c := range r.alertConnections("") {
		epoch, mine := r.store.Epoch(c.ID)
		if !mine {
			continue // the node that has the connection does it
		}
		targets, err := r.board.Targets(ctx, c.Project)
		if err != nil {
			return err
		}
		views, err := r.board.Overview(ctx, targets)
		if err != nil {
			return err
		}
		known, err := r.store.States(ctx, c.ID, alertStates)
		if err != nil {
			return err
		}
		states, news := streamAlerts(views, known, time.Now().UTC())
		errs = append(errs, r.recordAlerts(ctx, c, epoch, states, news...))
	}
	return errors.Join(errs...)
}

// streamAlerts are the troubles of streams that are new or over, and what is to be
// remembered of them.
func streamAlerts(views []health.View, known []store.State, now time.Time) (states []store.StateWrite, news []alert.Alert) {
	told := map[string]alert.Alert{}
	for _, s := range known {
		var a alert.Alert
		if json.Unmarshal(s.Value, &a) == nil {
			told[strings.TrimPrefix(s.Name, alertStates)] = a
		}
	}
	for i := range views {
		v := &views[i]
		name := v.ConnectionID + "/" + v.Stream
		was, is := told[name]
		delete(told, name)
		kind, reason := troubleOf(v)
		if kind == was.Kind {
			continue
		}
		a := alert.Alert{
			ID: name + "/" + now.Format(time.RFC3339Nano), Kind: kind, Project: v.Project, Connection: v.Connection, ConnectionID: v.ConnectionID,
			Stream: v.Stream, Reason: reason, At: now,
		}
		w := store.StateWrite{Name: alertStates + name}
		switch {
		case kind == "" && is && (v.State == health.Paused || v.State == health.Disabled):
			states = append(states, w) // nobody waits for it any more, which is no recovery
			continue
		case kind == "":
			a.Kind, a.ID, a.Reason = alert.StreamRecovered, was.ID, "it was "+strings.TrimPrefix(was.Kind, "stream.")
		default:
			w.Value, _ = json.Marshal(a) // there is nothing in it that JSON cannot say
		}
		states, news = append(states, w), append(news, a)
	}
	for name := range told {
		states = append(states, store.StateWrite{Name: alertStates + name}) // the stream is gone
	}
	if len(news) == 0 {
		return nil, nil
	}
	return states, news
}

// troubleOf says what is wrong with a stream, the worst first.
func troubleOf(v *health.View) (kind, reason string) {
	switch v.State {
	case health.Failing:
		if v.LastError != nil {
			reason = *v.LastError
		}
		return alert.StreamFailing, reason
	case health.Paused, health.Disabled:
		return "", ""
	case health.NeverRun, health.Running, health.Healthy, health.Late:
	}
	for _, a := range v.Alarms {
		if a.Kind == health.AlarmLate {
			return alert.StreamLate, a.Detail
		}
		kind, reason = alert.StreamQuiet, a.Detail
	}
	return kind, reason
}
