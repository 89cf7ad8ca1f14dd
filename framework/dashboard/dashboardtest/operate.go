package dashboardtest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

// Page answers a page on demand with OnPage, or with an empty last page.
func (o *Office) Page(_ context.Context, call api.PageCall) (api.PageResult, error) {
	if o.OnPage == nil {
		return api.PageResult{Cursor: call.Cursor}, nil
	}
	return o.OnPage(call)
}

// SetPaused sets the status of a stream.
func (o *Office) SetPaused(_ context.Context, connectionID, key string, paused bool) error {
	o.Status(connectionID, key, func(s *store.StreamStatus) { s.Paused = paused })
	return nil
}

// Reset moves the live checkpoint of a stream.
func (o *Office) Reset(_ context.Context, connectionID, key string, to scheduler.ResetTo) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stream(connectionID, key).checkpoint = nil
	if to.Cursor != nil {
		c := store.Checkpoint{}
		c.Cursor = to.Cursor
		o.stream(connectionID, key).checkpoint = &c
	}
	return nil
}

// Backfills lists what Backfill was asked for.
func (o *Office) Backfills(_ context.Context, connectionID string) (list []scheduler.Backfill, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.backfills {
		if b.ConnectionID == connectionID {
			list = append(list, b)
		}
	}
	return list, nil
}

// Backfill notes a backfill, which reads nothing.
func (o *Office) Backfill(_ context.Context, connectionID, key string, spec scheduler.BackfillSpec) (scheduler.Backfill, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := scheduler.Backfill{
		ID: fmt.Sprintf("bfl_%d", len(o.backfills)+1), ConnectionID: connectionID, Stream: key, From: spec.From, To: spec.To,
		Window: spec.Window, Rate: spec.Rate, State: scheduler.BackfillRunning, DoneTo: spec.From,
	}
	o.backfills = append(o.backfills, b)
	return b, nil
}

// CancelBackfill cancels one that Backfill noted.
func (o *Office) CancelBackfill(_ context.Context, connectionID, id string) (scheduler.Backfill, error) {
	return o.setBackfill(connectionID, id, scheduler.BackfillCanceled)
}

// ResumeBackfill resumes one that Backfill noted.
func (o *Office) ResumeBackfill(_ context.Context, connectionID, id string) (scheduler.Backfill, error) {
	return o.setBackfill(connectionID, id, scheduler.BackfillRunning)
}

func (o *Office) setBackfill(connectionID, id string, state scheduler.BackfillState) (scheduler.Backfill, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, b := range o.backfills {
		if b.ConnectionID == connectionID && b.ID == id {
			o.backfills[i].State = state
			return o.backfills[i], nil
		}
	}
	return scheduler.Backfill{}, fmt.Errorf("%w: %s", scheduler.ErrUnknownBackfill, id)
}

// RunNow answers with OnRun, or has the stream running from then on.
func (o *Office) RunNow(_ context.Context, connectionID, key string) error {
	if o.OnRun != nil {
		return o.OnRun(connectionID, key)
	}
	o.SetRunning(connectionID, key, true)
	return nil
}

// Front is everything that stands before an office.
type Front struct {
	Handler http.Handler
	API     *api.API
	Gate    *api.Gate
	Feed    *api.Feed
}

// Open puts the API, the dashboard and the gate before an office. Ready and
// Address may be set in the API's configuration by change, which may be nil.
func (o *Office) Open(policy api.ListenPolicy, log *slog.Logger, change func(*api.Config)) (*Front, error) {
	board, err := health.NewBoard(health.BoardConfig{Store: o, Live: o, Now: o.Now})
	if err != nil {
		return nil, err
	}
	acts, err := newActions(o.Now())
	if err != nil {
		return nil, err
	}
	f := &Front{Feed: &api.Feed{}}
	keyring := api.NewKeyring(o, o.Now)
	cfg := api.Config{Board: board, Store: o, Operations: o, Deliveries: o, Sinks: sinksOf{o}, Actions: acts, Feed: f.Feed, Log: log, Address: health.Address{PublicURL: policy.PublicURL}}
	cfg.Keyring, cfg.Audit, cfg.Secrets = keyring, o, noSecrets{}
	if cfg.Connections, err = o.desk(); err != nil {
		return nil, err
	}
	if change != nil {
		change(&cfg)
	}
	if f.API, err = api.New(cfg); err != nil {
		return nil, err
	}
	if f.Gate, err = api.NewGate(api.GateConfig{
		Policy: policy, ErrorPage: dashboard.ErrorPage, Log: log, Now: o.Now, Keyring: keyring, Audit: o,
	}); err != nil {
		return nil, err
	}
	d, err := dashboard.New(dashboard.Config{
		Board: board, Store: o, Operations: o, Connections: cfg.Connections, Deliveries: o, Sinks: sinksOf{o}, Actions: acts, Sessions: f.Gate, Feed: f.Feed, Version: "0.1.0-test", Log: log, Address: health.Address{PublicURL: policy.PublicURL},
	})
	if err != nil {
		return nil, err
	}
	f.Handler, err = f.Gate.Handler(f.API.Handler(), d.Handler())
	return f, err
}

// Loopback is the policy of a process that nobody else can reach.
func Loopback() api.ListenPolicy { return api.ListenPolicy{Listen: "127.0.0.1:0"} }
