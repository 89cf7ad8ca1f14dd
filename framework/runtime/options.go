package runtime

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

// DefaultListen is the address that is served when nothing else is said.
const DefaultListen = "127.0.0.1:9657"

// Options say what [New] builds.
type Options struct {
	// Config is the checked configuration. Required.
	Config *config.File
	// Plugins are the linked connectors.
	Plugins []framework.Plugin
	// OpenStore opens the store. Required. The runtime closes it.
	OpenStore func(ctx context.Context) (store.Store, error)
	// Listener serves instead of an own one on Config.Listen, if it is set.
	Listener net.Listener
	// Log gets what happens. The default writes nothing.
	Log *slog.Logger
	// Version is shown in metrics, and Commit where tools ask for it.
	Version, Commit string
	// Limits bound the scheduler.
	Limits scheduler.Limits
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	if o.Config == nil {
		errs = append(errs, errors.New("no configuration is given"))
	}
	if o.OpenStore == nil {
		errs = append(errs, errors.New("no store is given"))
	}
	return errors.Join(errs...)
}

// Deadlines of starting and stopping.
const (
	// startTimeout bounds what a start asks the store and the connectors.
	startTimeout = time.Minute
	// stopTimeout bounds each step of a stop but the drain delay.
	stopTimeout = 25 * time.Second
	// readHeaderTimeout and maxHeaderBytes are the only bounds that hold for the
	// whole server; each route has its own deadline and body limit.
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 64 << 10
	idleTimeout       = 2 * time.Minute
	// maxConnections bounds the open connections of each listener.
	maxConnections = 8192
)
