package dashboardtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/store"
)

// ActionRun is the id of a run of an action that has ended, RunningAction that of one
// that goes on.
const (
	ActionRun     = "run_06dvr7h2k8e3pawx9tq4acti00"
	RunningAction = "run_06dvr7h2k8e3pawx9tq4acti01"
)

// actionOffice has two runs of an action of the demo connection.
type actionOffice struct {
	mu     sync.Mutex
	runs   []store.ActionRun
	engine *action.Engine
}

var _ api.Actions = (*actionOffice)(nil)

func newActions(now time.Time) (*actionOffice, error) {
	run := func(id string, state store.RunState, ago time.Duration, percent int, message string) store.ActionRun {
		return store.ActionRun{
			ID: id, ConnectionID: Demo, TargetID: Demo, Action: "demo.count_orders", Origin: "trigger", State: state, Owner: "own_1",
			StartedAt: now.Add(-ago), Percent: percent, Message: message, Events: 2,
		}
	}
	done := run(ActionRun, store.RunSucceeded, 5*time.Minute, 100, "60 orders")
	done.FinishedAt, done.Output = done.StartedAt.Add(1300*time.Millisecond), []byte(`{"orders":60}`)
	o := &actionOffice{runs: []store.ActionRun{run(RunningAction, store.RunRunning, 4*time.Second, 45, "40 orders"), done}}
	var err error
	o.engine, err = action.New(action.Config{Store: o})
	return o, err
}

// Offered lists the action of the demo connection.
func (o *actionOffice) Offered(connectionID string) []api.OfferedAction {
	if connectionID != Demo {
		return nil
	}
	return []api.OfferedAction{{Key: "count_orders", Description: "CountOrders counts the orders of the shop by their status.", TimeoutSeconds: 300, MaxRunning: 16}}
}

// Act starts nothing and names the run that goes on.
func (o *actionOffice) Act(_ context.Context, _, _, _ string, in framework.ActionInput) (string, error) {
	if strings.Contains(string(in.JSON), "wrong") {
		return "", fmt.Errorf("%w: %w", framework.ErrInput, framework.InputErrors{{Name: "wrong", Reason: "is unknown"}})
	}
	return RunningAction, nil
}

// Cancel ends the run that goes on.
func (o *actionOffice) Cancel(_ context.Context, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, r := range o.runs {
		if r.ID != id {
			continue
		}
		if r.State == store.RunRunning {
			o.runs[i].State = store.RunCanceled
		}
		return nil
	}
	return store.ErrNotFound
}

// Watch reads the frames of a run.
func (o *actionOffice) Watch(ctx context.Context, id string, after int64) (*action.Watcher, error) {
	return o.engine.Watch(ctx, id, after)
}

// ActionRun returns one run.
func (o *actionOffice) ActionRun(_ context.Context, id string) (store.ActionRun, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.IndexFunc(o.runs, func(r store.ActionRun) bool { return r.ID == id }); i >= 0 {
		return o.runs[i], nil
	}
	return store.ActionRun{}, store.ErrNotFound
}

// ActionRuns lists the runs of a connection.
func (o *actionOffice) ActionRuns(_ context.Context, connectionID, _ string, limit int) (list []store.ActionRun, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.runs {
		if r.ConnectionID == connectionID && len(list) < limit {
			list = append(list, r)
		}
	}
	return list, nil
}

// ActionProgress has two reports.
func (o *actionOffice) ActionProgress(_ context.Context, id string, after int64, _ int) (list []store.ActionProgress, _ error) {
	for n := after + 1; n <= 2; n++ {
		list = append(list, store.ActionProgress{Sequence: n, Percent: int(n) * 20, Message: id})
	}
	return list, nil
}

// WriteActions writes nothing.
func (*actionOffice) WriteActions(context.Context, []store.ActionWrite) ([]error, error) {
	return nil, store.ErrUnavailable
}

// TouchActions keeps nothing.
func (*actionOffice) TouchActions(context.Context, string) ([]string, error) { return nil, nil }

// CancelAction knows no run.
func (*actionOffice) CancelAction(context.Context, string) error { return store.ErrNotFound }

// InterruptActions ends none.
func (*actionOffice) InterruptActions(context.Context, string, time.Duration) (int, error) {
	return 0, nil
}

// TrimActions removes none.
func (*actionOffice) TrimActions(context.Context, time.Time, int, int) (int, error) { return 0, nil }
