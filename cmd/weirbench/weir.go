package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	httpconnector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/framework/store/open"
)

// weir is a Weir with one connection.
type weir struct {
	runtime *runtime.Runtime
	store   store.Store
}

func newWeir(ctx context.Context, o childOptions, connector string, settings map[string]any) (*weir, error) {
	w := &weir{}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	connections := []config.Connection{{
		Project: "default", Name: "bench", Connector: connector, Type: "source", Enabled: true, Settings: settings,
	}}
	for _, s := range o.Sinks {
		connections = append(connections, config.Connection{
			Project: "default", Name: s.Name, Connector: "http", Type: "sink", Enabled: true, Streams: []string{"bench.*"}, Settings: s.Settings,
		})
	}
	if o.Trigger != "" {
		connections = append(connections, config.Connection{
			Project: "default", Name: "told", Connector: "trigger", Type: "trigger", Enabled: true,
			Settings: map[string]any{"path": o.Trigger, "method": "POST", "public": true, "action": "bench.tell"},
		})
	}
	var err error
	w.runtime, err = runtime.New(ctx, runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", DataDir: o.Dir, Connections: connections},
		Plugins: []framework.Plugin{hooksPlugin, pagesPlugin, httpconnector.Plugin}, Log: log,
		OpenStore: func(ctx context.Context) (store.Store, error) {
			var err error
			direct := ""
			if o.Deaf {
				direct = "postgres://127.0.0.1:1/nobody" // where nobody answers
			}
			w.store, err = open.Direct(ctx, o.Postgres, direct, o.Dir, log)
			return w.store, err
		},
	})
	return w, err
}

// commits is how many transactions the store's writer has made.
func (w *weir) commits() int64 {
	if s, ok := w.store.(interface{ Stats() groupcommit.Stats }); ok {
		return int64(s.Stats().Batches)
	}
	return -1
}

// serveWeir receives deliveries.
func serveWeir(ctx context.Context, o childOptions, ready func(addr string)) (int64, error) {
	release := runtime.ReserveHeap() // as weir run does
	defer release()
	w, err := newWeir(ctx, o, Hooks.Key, map[string]any{"webhook_secret": o.Secret})
	if err != nil {
		return 0, err
	}
	ready(w.runtime.Addr().String())
	if o.Aside != "" {
		stop, err := aside(ctx, o.Aside)
		if err != nil {
			return 0, err
		}
		defer stop()
	}
	if err := w.runtime.Run(ctx); err != nil {
		return 0, err
	}
	return w.commits(), nil
}

// pollWeir reads the local API to its end and says so by its ready line. The end
// is told by the store's own counts: to ask the API for it, again and again, is
// work that the floor does not do.
func pollWeir(ctx context.Context, o childOptions, ready func(addr string)) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	release := runtime.ReserveHeap()
	defer release()
	w, err := newWeir(ctx, o, Pages.Key, map[string]any{"base_url": o.API})
	if err != nil {
		return 0, err
	}
	store, ok := w.store.(interface{ Stats() groupcommit.Stats })
	if !ok {
		return 0, fmt.Errorf("a store of type %T does not count", w.store)
	}
	ran := make(chan error, 1)
	go func() { ran <- w.runtime.Run(ctx) }()
	begun, asked := time.Now(), time.Now()
	for {
		if store.Stats().Events >= int64(o.Records) {
			ready(time.Since(begun).String())
			<-ctx.Done()
			return w.commits(), <-ran
		}
		if time.Since(asked) > time.Second {
			asked = time.Now()
			state, err := w.state(ctx)
			switch {
			case err != nil:
				return 0, err
			case state.LastError != "":
				return 0, fmt.Errorf("the run failed: %s", state.LastError)
			}
		}
		select {
		case err := <-ran:
			return 0, err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// polled is what the API says of the stream.
type polled struct {
	LastError string `json:"last_error"`
}

func (w *weir) state(ctx context.Context) (polled, error) {
	var p polled
	err := getJSON(ctx, w.runtime.URL()+"/api/v1/connections/bench/streams/records", &p)
	return p, err
}

// getJSON asks the API.
func getJSON(ctx context.Context, url string, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(out)
}
