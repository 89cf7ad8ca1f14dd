package dashboardtest

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard"
	"github.com/weirhq/weir/framework/health"
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

// Reset forgets the live checkpoint of a stream.
func (o *Office) Reset(_ context.Context, connectionID, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stream(connectionID, key).checkpoint = nil
	return nil
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
// PublicURL may be set in the API's configuration by change, which may be nil.
func (o *Office) Open(policy api.ListenPolicy, log *slog.Logger, change func(*api.Config)) (*Front, error) {
	board, err := health.NewBoard(health.BoardConfig{Store: o, Live: o, Now: o.Now})
	if err != nil {
		return nil, err
	}
	f := &Front{Feed: &api.Feed{}}
	cfg := api.Config{Board: board, Store: o, Operations: o, Feed: f.Feed, Log: log, PublicURL: policy.PublicURL}
	if change != nil {
		change(&cfg)
	}
	if f.API, err = api.New(cfg); err != nil {
		return nil, err
	}
	if f.Gate, err = api.NewGate(api.GateConfig{Policy: policy, ErrorPage: dashboard.ErrorPage, Log: log, Now: o.Now}); err != nil {
		return nil, err
	}
	d, err := dashboard.New(dashboard.Config{
		Board: board, Store: o, Operations: o, Sessions: f.Gate, Feed: f.Feed, Version: "0.1.0-test", Log: log, PublicURL: policy.PublicURL,
	})
	if err != nil {
		return nil, err
	}
	f.Handler, err = f.Gate.Handler(f.API.Handler(), d.Handler())
	return f, err
}

// Loopback is the policy of a process that nobody else can reach.
func Loopback() api.ListenPolicy { return api.ListenPolicy{Listen: "127.0.0.1:0"} }
