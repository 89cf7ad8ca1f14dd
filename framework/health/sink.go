package health

import (
	"context"
	"fmt"

	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/store"
)

// typeSink is the type of a connection that delivers.
const typeSink = "sink"

// SinkView is the health of a sink: what the store keeps of it, whichever process
// runs it.
type SinkView struct {
	Project      string `json:"project"`
	Connection   string `json:"connection"`
	ConnectionID string `json:"connection_id"`
	Connector    string `json:"connector"`
	// State is running, paused, stopped, failed or disabled; Reason says why it is
	// one of the last two, and Since when it began.
	State  string  `json:"state"`
	Reason *string `json:"reason"`
	Since  *Time   `json:"since"`
	// FailingSince is when the endpoint began to fail, and BreakerUntil when the
	// next probe of it may leave; null while it answers well.
	FailingSince *Time `json:"failing_since"`
	BreakerUntil *Time `json:"breaker_until"`
	// Streams counts those that it has an offset in, Lag the events that it has not
	// passed, Parked those that wait for their own retry, Delivered those that it
	// has delivered, and DeadLetters those that it gave up and nobody has settled.
	Streams     int   `json:"streams"`
	Lag         int64 `json:"lag"`
	Parked      int64 `json:"parked"`
	Delivered   int64 `json:"delivered"`
	DeadLetters int64 `json:"dead_letters"`
	// DeliveredAt is the time of the last delivery, and LastError the last failure
	// since.
	DeliveredAt         *Time   `json:"delivered_at"`
	LastError           *string `json:"last_error"`
	ConsecutiveFailures int     `json:"consecutive_failures"`
}

// Ailing reports that somebody should look: it stopped by itself, or its endpoint
// fails.
func (v SinkView) Ailing() bool {
	return v.State == string(delivery.StateFailed) || v.State == string(delivery.StateDisabled) && v.Reason != nil || v.FailingSince != nil
}

// Sinks makes the views of the sinks of a project, or of all for "", by project
// and name. It costs the same few reads for any number of them.
func (b *Board) Sinks(ctx context.Context, project string) ([]SinkView, error) {
	connections, err := b.Connections(ctx, project)
	if err != nil {
		return nil, err
	}
	views := []SinkView{}
	at := map[string]int{}
	for _, c := range connections {
		if c.Type == typeSink {
			at[c.ID] = len(views)
			views = append(views, SinkView{Project: c.Project, Connection: c.Name, ConnectionID: c.ID, Connector: c.Connector, State: sinkState(c)})
		}
	}
	if len(views) == 0 {
		return views, nil
	}
	states, err := b.cfg.Store.States(ctx, "", delivery.StatePrefix)
	if err != nil {
		return nil, fmt.Errorf("read the states of sinks: %w", err)
	}
	offsets, err := b.cfg.Store.Offsets(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("read offsets: %w", err)
	}
	dead, err := b.cfg.Store.DeadCounts(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	statuses, err := b.cfg.Store.Statuses(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("read stream statuses: %w", err)
	}
	heads := map[store.Source]int64{}
	for _, s := range statuses {
		heads[store.Source{ConnectionID: s.ConnectionID, Stream: s.Stream}] = s.Head
	}
	for id, kept := range delivery.ReadStates(states) {
		if i, ok := at[id]; ok && views[i].State != string(delivery.StateDisabled) {
			v := &views[i]
			v.State, v.Reason, v.Since = string(kept.State.Condition), textOrNil(kept.State.Reason), TimeOrNil(kept.State.Since)
			v.FailingSince, v.BreakerUntil = TimeOrNil(kept.FailingSince), TimeOrNil(kept.BreakerUntil)
		}
	}
	for _, o := range offsets {
		if i, ok := at[o.ConnectionID]; ok {
			views[i].add(o, heads[o.Source])
		}
	}
	for id, n := range dead {
		if i, ok := at[id]; ok {
			views[i].DeadLetters = n
		}
	}
	return views, nil
}

// sinkState is the state of a sink that nothing has happened to.
func sinkState(c store.Connection) string {
	if !c.Enabled {
		return string(delivery.StateDisabled)
	}
	return string(delivery.StateRunning)
}

// add counts one of the sink's streams.
func (v *SinkView) add(o store.Offset, head int64) {
	v.Streams++
	v.Lag += max(head+1-o.Next, 0)
	v.Parked += o.Parked
	v.Delivered += o.Delivered
	if v.DeliveredAt == nil || o.DeliveredAt.After(v.DeliveredAt.Time) {
		v.DeliveredAt = TimeOrNil(o.DeliveredAt)
	}
	if o.LastError != "" && (v.LastError == nil || o.ConsecutiveFailures > v.ConsecutiveFailures) {
		v.LastError, v.ConsecutiveFailures = &o.LastError, o.ConsecutiveFailures
	}
}
