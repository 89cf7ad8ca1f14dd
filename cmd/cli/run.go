package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/loglevel"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/servertls"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/open"
)

// serverFlags are what run and demo share.
type serverFlags struct {
	listen, store, direct, dataDir, token string
	listenPublic, connectListen           string
	tls                                   servertls.Files
	logLevel, logFormat                   string
	noSpread                              bool
}

func (f *serverFlags) register(command *cobra.Command, level string) {
	flags := command.Flags()
	flags.StringVar(&f.listen, "listen", "", "address to serve (default "+runtime.DefaultListen+")")
	flags.StringVar(&f.listenPublic, "listen-public", "", "second address, for webhooks only: nothing else is served there")
	flags.StringVar(&f.connectListen, "connect-listen", "", "another address, for the Kafka Connect API alone, such as 127.0.0.1:8083")
	flags.StringVar(&f.tls.Cert, "tls-cert", "", "file of the certificate to serve TLS with; read again when it changes")
	flags.StringVar(&f.tls.Key, "tls-key", "", "file of the certificate's private key")
	flags.StringVar(&f.tls.ClientCA, "tls-client-ca", "", "file of the authorities that client certificates must come from")
	flags.StringVar(&f.store, "store", "", "address of the store: sqlite:FOLDER (a relative one is below the data folder) or postgres://… (default: SQLite in the data folder)")
	flags.StringVar(&f.direct, "store-direct", "", "address of the same PostgreSQL database without a pooler in between, to be told at once what other nodes record")
	flags.StringVar(&f.dataDir, "data-dir", "", "folder of everything that is kept on disk")
	flags.StringVar(&f.token, "admin-token", "", "token of the management API and the dashboard, at least 16 characters")
	flags.BoolVar(&f.noSpread, "no-spread", false, "run streams at the very ticks of their schedules, all at once")
	flags.StringVar(&f.logLevel, "log-level", level, "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
}

// apply lets the flags that were given win over the file.
func (f *serverFlags) apply(c *config.File) {
	for _, s := range []struct {
		flag string
		into *string
	}{
		{f.listen, &c.Listen},
		{f.store, &c.Store},
		{f.direct, &c.StoreDirect},
		{f.dataDir, &c.DataDir},
		{f.token, &c.AdminToken},
		{f.listenPublic, &c.ListenPublic},
		{f.connectListen, &c.ConnectListen},
		{f.tls.Cert, &c.TLS.Cert},
		{f.tls.Key, &c.TLS.Key},
		{f.tls.ClientCA, &c.TLS.ClientCA},
	} {
		if s.flag != "" {
			*s.into = s.flag
		}
	}
	c.NoSpread = c.NoSpread || f.noSpread
	if c.DataDir == "" {
		c.DataDir = "weir-data"
	}
}

// logger returns the log. Its levels may be changed while it is written.
func (f *serverFlags) logger(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, errors.New("--log-level must be debug, info, warn or error")
	}
	levels := loglevel.New(level)
	everything := &slog.HandlerOptions{Level: slog.LevelDebug}
	switch f.logFormat {
	case "text":
		return slog.New(levels.Handler(slog.NewTextHandler(out, everything))), nil
	case "json":
		return slog.New(levels.Handler(slog.NewJSONHandler(out, everything))), nil
	}
	return nil, errors.New("--log-format must be text or json")
}

func (a *app) run() *cobra.Command {
	var f serverFlags
	var file string
	command := &cobra.Command{
		Use: "run", Short: "Run the connections of weir.yaml", Args: cobra.NoArgs,
		Long: "Run the connections of a configuration file until interrupted. A file or catalog with errors is\n" +
			"refused whole, with every error.",
		RunE: func(command *cobra.Command, _ []string) error {
			if err := a.foreignModule(); err != nil {
				return err
			}
			log, err := f.logger(a.term.Err)
			if err != nil {
				return wrongUsage(err)
			}
			loaded, err := config.Load(file, a.plugins)
			var problems config.Problems
			switch {
			case errors.As(err, &problems):
				a.notef("%v\n", problems)
				return &exitError{exitUsage, nil}
			case errors.Is(err, fs.ErrNotExist):
				return wrongUsage(fmt.Errorf("there is no file %s; name one with --config, write one with weir init, or try weir demo", file))
			case err != nil:
				return wrongUsage(err)
			}
			f.apply(loaded)
			return a.serve(command.Context(), loaded, a.plugins, nil, log, func(r *runtime.Runtime) {
				a.reloadOnHangup(command.Context(), file, f, log, r)
				log.Info("weir is running", "dashboard", r.URL(), "connections", len(loaded.Connections), "data_dir", loaded.DataDir)
			})
		},
	}
	f.register(command, "info")
	command.Flags().StringVarP(&file, "config", "c", "weir.yaml", "configuration file")
	return command
}

// keyFile is the file of the key that a store of one process gets by itself.
const keyFile = "secret.key"

// ensureKey makes a key for secrets where none is configured and one process has
// the store to itself, so that secrets can be saved at once. Several processes
// must agree on a key: there, somebody has to give it to them.
func ensureKey(c *config.File, log *slog.Logger) {
	if c.Secrets.Key != "" || c.Secrets.KeyFile != "" || open.Folder(c.Store, c.DataDir) == "" {
		return
	}
	path := filepath.Join(c.DataDir, keyFile)
	made, err := seal.EnsureKeyFile(path)
	switch {
	case err != nil:
		log.Warn("there is no key for secrets: saving one through the API will be refused", "err", err)
		return
	case made:
		log.Info("made a key that seals the secrets of connections; keep a copy of it apart from the backups", "file", path)
	}
	c.Secrets.KeyFile = path
}

// serve runs a Weir until ctx ends.
func (a *app) serve(ctx context.Context, c *config.File, plugins []framework.Plugin, listener net.Listener, log *slog.Logger, started func(*runtime.Runtime)) error {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return failed(err)
	}
	surviveFileLimit()
	// No flag: what stands on a command line, everybody on the machine can read.
	c.Secrets.Key, _ = a.term.Env("WEIR_SECRET_KEY")
	ensureKey(c, log)
	release := runtime.ReserveHeap()
	defer release()
	r, err := runtime.New(ctx, runtime.Options{
		Config: c, Plugins: plugins, Listener: listener, Log: log, Version: buildVersion(), Commit: buildCommit(),
		OpenStore: func(ctx context.Context) (store.Store, error) {
			return open.Direct(ctx, c.Store, c.StoreDirect, c.DataDir, log)
		},
	})
	if err != nil {
		return failed(err)
	}
	started(r)
	if err := r.Run(ctx); err != nil {
		return failed(err)
	}
	return nil
}
