package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/servertls"
)

// errNotReady is why the process gets no traffic while it starts or stops.
var errNotReady = errors.New("weir is starting or stopping")

// assembleFaces builds everything that answers requests.
func (r *Runtime) assembleFaces(policy api.ListenPolicy) error {
	var err error
	if r.board, err = health.NewBoard(health.BoardConfig{Store: r.store, Live: r}); err != nil {
		return err
	}
	r.targetTable.Replace(r.targets())
	if r.intake, err = intake.New(intake.Config{
		Targets: &r.targetTable, Store: waking{r.store, r.engine, r.deference}, Log: r.log, Observe: r.delivered, Journal: r.journal(),
		TrustedProxies: r.options.Config.TrustedProxies,
	}); err != nil {
		return err
	}
	if err := r.assembleActions(); err != nil {
		return err
	}
	keyring := api.NewKeyring(r.store, nil)
	if r.api, err = api.New(api.Config{
		Keyring: keyring, Audit: r.store, Secrets: sealedSecrets{r},
		Board: r.board, Store: r.store, Operations: operations{r}, Connections: r.desk, Deliveries: letters{r}, Sinks: sinkDesk{r.store, r}, Actions: actionDesk{r.store, r}, Feed: r.feed, Ready: r.checkReady,
		Address: r.address(), Log: r.log,
	}); err != nil {
		return err
	}
	door := api.GateConfig{
		Policy: policy, Triggers: r.triggers, ErrorPage: dashboard.ErrorPage, Log: r.log, Keyring: keyring, Audit: r.store, TrustedProxies: r.options.Config.TrustedProxies,
		Foreign: foreignError,
	}
	gate, err := api.NewGate(door)
	if err != nil {
		return err
	}
	face, err := r.connectFace(policy)
	if err != nil {
		return err
	}
	pages, err := dashboard.New(dashboard.Config{
		Board: r.board, Store: r.store, Operations: operations{r}, Deliveries: letters{r}, Connections: r.desk,
		Sinks: sinkDesk{r.store, r}, Actions: actionDesk{r.store, r}, Sessions: gate, Feed: r.feed,
		Address: r.address(), Version: r.options.Version, Log: r.log, Machine: face.Root,
	})
	if err != nil {
		return err
	}
	// The hooks come first: most requests are for them.
	r.parts = []http.Handler{r.hooks(), r.api.Handler(), pages.Handler(), face.Handler()}
	handler, err := gate.Handler(r.parts...)
	if err != nil {
		return err
	}
	r.server = r.newServer(handler)
	if r.options.Config.ListenPublic != "" {
		public, err := gate.PublicHandler(r.hooks())
		if err != nil {
			return err
		}
		r.public = r.newServer(public)
	}
	return r.assembleConnect(door, face)
}

// address is how senders reach this process.
func (r *Runtime) address() health.Address {
	return health.Address{PublicURL: r.options.Config.PublicURL, ListenPublic: r.options.Config.ListenPublic}
}

// newServer returns a server with the bounds that hold for all of it.
func (r *Runtime) newServer(handler http.Handler) *http.Server {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes, IdleTimeout: idleTimeout,
		// What net/http has to say is about clients that misbehave.
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	if r.tls != nil {
		s.TLSConfig = r.tls.Config()
	}
	return s
}

// journal is the file of the intake's journal, beside everything else on disk.
func (r *Runtime) journal() string {
	if r.options.Config.DataDir == "" {
		return ""
	}
	return filepath.Join(r.options.Config.DataDir, "webhooks.journal")
}

// targets lists the webhook endpoints of the enabled connections.
func (r *Runtime) targets() []intake.Target {
	var targets []intake.Target
	for _, c := range r.all() {
		if c.binding == nil {
			continue
		}
		var webhooks []string
		for _, s := range c.manifest.Streams {
			if s.Mode == catalog.ModeWebhook {
				webhooks = append(webhooks, s.Key)
			}
		}
		for path, verifier := range c.endpoints {
			targets = append(targets, intake.Target{
				Project: c.Project, Connection: c.Name, ConnectionID: c.ID, Endpoint: path,
				Verifier: verifier, Binding: c.binding, WebhookStreams: webhooks, Policy: c.policies[path],
			})
		}
	}
	for id, c := range r.set.Load().shut {
		targets = append(targets, intake.Target{Project: c.Project, Connection: c.Name, ConnectionID: id, Shut: true})
	}
	return targets
}

// hooks are the routes of the intake and of the metrics.
func (r *Runtime) hooks() http.Handler {
	router := chi.NewRouter()
	router.Method(http.MethodGet, "/metrics", r.metrics.handler())
	for _, prefix := range []string{"/webhooks", "/p/{project}/webhooks"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions} {
			router.Method(method, prefix+"/{connection}/{path}", r.intake)
		}
	}
	r.triggerRoutes(router)
	return router
}

// delivered counts a delivery and tells the pages of it.
func (r *Runtime) delivered(o intake.Observation) {
	r.metrics.delivered(o)
	switch o.Verdict {
	case intake.Accepted, intake.Stored, intake.Dead: // a failure is news too
		r.feed.NotifyProject(o.Project)
	case intake.Duplicate, intake.Unverified, intake.TooLarge, intake.Refused, intake.Failed, intake.Busy, intake.Limited, intake.Handshake:
	}
}

// checkReady says why the process should get no traffic now.
func (r *Runtime) checkReady(ctx context.Context) error {
	if !r.ready.Load() {
		return errNotReady
	}
	return r.store.Ping(ctx)
}

func (r *Runtime) listen(ctx context.Context, policy api.ListenPolicy) error {
	if r.listener = r.options.Listener; r.listener != nil {
		return nil
	}
	var err error
	if r.listener, err = listenOn(ctx, policy.Listen, "--listen"); err != nil {
		return err
	}
	return nil
}

// listenPublic opens the second listener, if there is one.
func (r *Runtime) listenPublic(ctx context.Context) (err error) {
	if r.public != nil {
		r.publicListener, err = listenOn(ctx, r.options.Config.ListenPublic, "--listen-public")
	}
	return err
}

func listenOn(ctx context.Context, address, flag string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; another process may serve there: choose another address with %s", address, err, flag)
	}
	return listener, nil
}

// serve serves until the server is shut down.
func (r *Runtime) serve(s *http.Server, l net.Listener) {
	l = servertls.LimitListener(l, maxConnections)
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		r.fail(fmt.Errorf("serve: %w", err))
	}
}

// Run serves until ctx ends or something fails that cannot be mended, and then
// stops: nothing that was acknowledged is lost. It can be called once.
func (r *Runtime) Run(ctx context.Context) (err error) {
	started := false
	r.once.Do(func() { started = true })
	if !started {
		return errors.New("run weir: it was run before")
	}
	defer r.release()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	// It is the one that can fail, and comes before what only a stop ends.
	if err := r.scheduler.Start(background); err != nil {
		return err
	}
	work.Go(func() { r.intake.Run(background) })
	work.Go(func() { r.budgets.Run(background) })
	work.Go(func() { r.trimAudit(background) })
	work.Go(func() { r.actions.Run(background) })
	work.Go(func() { r.serve(r.server, r.listener) })
	if r.public != nil {
		work.Go(func() { r.serve(r.public, r.publicListener) })
	}
	if r.connect != nil {
		work.Go(func() { r.serve(r.connect, r.connectListener) })
	}
	if r.tls != nil {
		work.Go(func() { r.tls.Watch(background) })
	}
	work.Go(func() { r.engine.Run(background) })
	work.Go(func() { r.tellAlerts(background) })
	following, unfollow := context.WithCancel(background)
	defer unfollow()
	work.Go(func() { r.follow(following) })
	work.Go(func() { r.serveCommands(following) })
	work.Go(func() { r.deferToNewer(following) })
	work.Go(func() { r.watchConfiguration(following) })
	work.Go(func() { r.heed(following) })
	r.ready.Store(true)
	select {
	case <-ctx.Done():
		r.log.Info("stopping")
	case err = <-r.failed:
		r.log.Error("stopping: this process can no longer work", "err", err)
	}
	unfollow()
	stopped := r.stop(cancel, &work)
	r.log.Info("stopped")
	return errors.Join(err, stopped)
}

// stop takes everything down in the order in which nothing is lost: traffic is
// sent elsewhere, nothing new begins, what is going on ends, and the store is
// closed last.
func (r *Runtime) stop(cancel context.CancelFunc, work *sync.WaitGroup) error {
	r.ready.Store(false)
	time.Sleep(r.options.Config.DrainDelay)
	ctx, done := context.WithTimeout(context.Background(), stopTimeout+5*time.Second)
	defer done()
	scheduled := make(chan error, 1)
	go func() { scheduled <- r.scheduler.Stop(ctx) }()
	// Requests on their way have as long as pages, beside them: what the last
	// pages bring is delivered by the next process.
	delivered := make(chan error, 1)
	go func() { delivered <- r.engine.Stop(ctx) }()
	acted := make(chan error, 1)
	go func() {
		waiting, end := context.WithTimeout(ctx, stopTimeout)
		defer end()
		acted <- r.actions.Stop(waiting)
	}()
	r.api.CloseFeeds()
	errs := []error{r.intake.Drain(ctx)}
	for _, s := range []*http.Server{r.public, r.connect, r.server} {
		if s == nil {
			continue
		}
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop server: %w", err), s.Close())
		}
	}
	errs = append(errs, <-acted, <-scheduled, <-delivered)
	r.budgets.Save(ctx)
	cancel()
	work.Wait()
	return errors.Join(append(errs, r.intake.Close())...)
}
