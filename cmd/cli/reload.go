package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
)

// reloadOnHangup reads the configuration file again whenever the process gets
// SIGHUP, until ctx ends. A file with errors changes nothing.
func (a *app) reloadOnHangup(ctx context.Context, file string, f serverFlags, log *slog.Logger, r *runtime.Runtime) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
			}
			loaded, err := config.Load(file, a.plugins)
			if err == nil {
				f.apply(loaded)
				err = r.Reload(ctx, loaded)
			}
			if err != nil {
				log.Error("the file was not taken; what runs goes on", "file", file, "err", err)
				continue
			}
			log.Info("the connections of the file were taken; what else it says needs a restart", "file", file, "connections", len(loaded.Connections))
		}
	}()
}
