package cli

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/connectors/demo"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/trigger"
)

func (a *app) demo() *cobra.Command {
	var f serverFlags
	var openBrowser bool
	command := &cobra.Command{
		Use: "demo", Short: "Run Weir with a shop that lives in this process", Args: cobra.NoArgs,
		Long: "Run Weir with one connection, demo, to a shop that lives in this process: it creates, changes,\n" +
			"reverts and deletes customers and orders, which are polled, and sends signed webhooks. It needs no\n" +
			"network and no account. Unless --data-dir says otherwise, everything is gone when it ends.",
		RunE: func(command *cobra.Command, _ []string) error {
			log, err := f.logger(a.term.Err)
			if err != nil {
				return wrongUsage(err)
			}
			return a.runDemo(command.Context(), f, log, openBrowser)
		},
	}
	f.register(command, "warn")
	command.Flags().BoolVar(&openBrowser, "open", false, "open the dashboard in a browser")
	return command
}

func (a *app) runDemo(ctx context.Context, f serverFlags, log *slog.Logger, openBrowser bool) (err error) {
	c := &config.File{}
	if f.dataDir == "" {
		if f.dataDir, err = os.MkdirTemp("", "weir-demo-"); err != nil {
			return failed(err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.DataDir)) }()
	}
	f.apply(c)
	if c.Listen == "" {
		c.Listen = runtime.DefaultListen
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return wrongUsage(fmt.Errorf("--listen %q is no address such as %s", c.Listen, runtime.DefaultListen))
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return failed(fmt.Errorf("%w; another process may serve there: choose another address, such as --listen 127.0.0.1:0", err))
	}
	defer func() { _ = listener.Close() }()
	if !api.IsLoopback(listener.Addr().String()) {
		return wrongUsage(errors.New("weir demo listens on loopback only; use weir run for anything else"))
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	shop, err := demo.Serve(ctx, demo.ServeConfig{
		Provider: demo.Config{Seed: binary.BigEndian.Uint64(seed[:]) >> 44, DoublePercent: 10, LatePercent: 10}, Log: log,
	})
	if err != nil {
		return failed(err)
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	secret := demoSecret()
	c.Connections = []config.Connection{{
		Project: "default", Name: "demo", Connector: demo.Connector.Key, Type: "source", Enabled: true,
		Settings: map[string]any{"base_url": shop.URL, "webhook_secret": secret},
	}, {
		Project: "default", Name: "count", Connector: "http", Type: trigger.Type, Enabled: true,
		Settings: map[string]any{"path": demoTrigger, "method": "POST", "public": true, "action": "demo." + demo.CountOrders.Key()},
	}}
	return a.serve(ctx, c, a.withDemo(), listener, log, func(r *runtime.Runtime) {
		if err := shop.SetWebhook(r.URL()+"/webhooks/demo/"+demo.Inbox.Path(), secret); err != nil {
			log.Error("point the shop's webhooks at weir", "err", err)
		}
		a.printf("Weir runs. Dashboard: %s\nThe demo shop sends webhooks and is polled every 10 seconds.\nCount its orders and watch: curl -N -X POST %s/default%s\nCtrl-C ends it.\n", r.URL(), r.URL(), demoTrigger)
		if openBrowser {
			browse(ctx, r.URL(), log)
		}
	})
}

// demoTrigger is where the demo's trigger is.
const demoTrigger = "/count-orders"

// withDemo returns the linked connectors with the demo among them: a module of
// somebody else's need not link it for weir demo to work.
func (a *app) withDemo() []framework.Plugin {
	if slices.ContainsFunc(a.plugins, func(p framework.Plugin) bool { return p.Key() == demo.Connector.Key }) {
		return a.plugins
	}
	return append(slices.Clone(a.plugins), demo.Plugin)
}

// demoSecret makes a Standard Webhooks secret.
func demoSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}

// browse opens url in the desktop's browser, as far as there is one.
func browse(ctx context.Context, url string, log *slog.Logger) {
	name, args := "xdg-open", []string{url}
	switch goruntime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	if err := exec.CommandContext(ctx, name, args...).Start(); err != nil { //nolint:gosec // the address is our own listener's
		log.Warn("no browser could be opened", "err", err)
	}
}
