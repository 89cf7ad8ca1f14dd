package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpguard"
)

// ServeConfig says how [Serve] runs a provider. The zero value is ready for use.
type ServeConfig struct {
	// Provider configures the shop.
	Provider Config
	// Address is where its API listens. The default is a free loopback port.
	Address string
	// Interval is the time between two steps. The default is 2 seconds.
	Interval time.Duration
	// Log takes what goes wrong. The default is silent.
	Log *slog.Logger
}

func (c ServeConfig) withDefaults() ServeConfig {
	c.Address, c.Interval = cmp.Or(c.Address, "127.0.0.1:0"), cmp.Or(c.Interval, 2*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Running is a provider that runs.
type Running struct {
	*Provider
	// URL is where its API is: the connection's base_url.
	URL string

	server *http.Server
	guard  *httpguard.Guard
	stop   context.CancelFunc
	paused atomic.Bool
	wait   []func() error
	once   sync.Once
	err    error
}

// Serve runs a new provider until ctx ends or [Running.Close] is called. Call
// SetWebhook once the receiver's address is known.
func Serve(ctx context.Context, config ServeConfig) (*Running, error) {
	config = config.withDefaults()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Address)
	if err != nil {
		return nil, fmt.Errorf("serve demo provider: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	if config.Provider.Client == nil {
		config.Provider.Client = loopbackClient(guard)
	}
	p := NewProvider(config.Provider)
	r := &Running{
		Provider: p, URL: "http://" + listener.Addr().String(), stop: stop, guard: guard,
		server: &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second},
	}
	r.wait = append(r.wait, framework.Go(ctx, func(context.Context) error {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve demo provider: %w", err)
		}
		return nil
	}), framework.Go(ctx, func(ctx context.Context) error {
		ticker := time.NewTicker(config.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return r.server.Close()
			case <-ticker.C:
				if r.paused.Load() {
					continue
				}
				if err := p.Step(ctx); err != nil && ctx.Err() == nil {
					config.Log.Debug("a webhook of the demo provider was not taken and will be sent again", slog.Any("err", err))
				}
			}
		}
	}))
	return r, nil
}

// Pause ends the shop's changes. Its API goes on.
func (r *Running) Pause() { r.paused.Store(true) }

// Close stops the provider and waits until it has stopped. It may be called
// more than once.
func (r *Running) Close() error {
	r.once.Do(func() {
		r.stop()
		for _, wait := range r.wait {
			r.err = errors.Join(r.err, wait())
		}
		r.guard.Close()
	})
	return r.err
}
