package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/alert"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/budget"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/servertls"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
)

// Runtime is a Weir that was built and can be run once.
type Runtime struct {
	options   Options
	log       *slog.Logger
	guard     *httpguard.Guard
	store     store.Store
	scheduler *scheduler.Scheduler
	engine    *delivery.Engine
	intake    *intake.Handler
	// actions carries runs of actions out; triggers starts them, for the triggers in
	// triggerTable.
	actions      *action.Engine
	triggers     *trigger.Handler
	triggerTable trigger.Table
	board        *health.Board
	api          *api.API
	feed         *api.Feed
	// peerReports is what the other processes know of webhooks.
	peerReports peerReports
	budgets     *budget.Keeper
	metrics     *metrics
	listener    net.Listener
	server      *http.Server
	// parts are the routers behind the gate, one a face.
	parts []http.Handler
	// publicListener and public take webhooks only; nil without listen_public.
	publicListener net.Listener
	public         *http.Server
	// connectListener and connect have the Kafka Connect API alone; nil without
	// connect_listen.
	connectListener net.Listener
	connect         *http.Server
	// tls is what both servers present; nil for plain HTTP.
	tls *servertls.Source
	// keys seal the secrets of connections that are made through the API; nil for
	// none.
	keys *seal.Keys

	// set is what is configured now. targetTable are its webhook endpoints.
	set         atomic.Pointer[connectionSet]
	targetTable intake.Table
	// desk carries out what operators ask of connections, fileDesk what their file
	// says; what that changes is taken up by who asks it.
	desk, fileDesk *resource.Desk
	// refreshing orders changes of set; versions are those of the connections that
	// were taken up, file what a file of this process says of connections, prepared
	// what was made of it before the store was open.
	refreshing sync.Mutex
	versions   map[string]int64
	file       map[[2]string]written
	prepared   map[[2]string]*connection
	// configuration is the version that was taken up, reconfigured wakes follow, which
	// says by assigned that the work of connections was taken on or given up.
	configuration atomic.Int64
	reconfigured  chan struct{}
	assigned      chan struct{}
	// behind says that a change could not be taken up yet.
	behind atomic.Bool
	// alerts are those of sinks that wait to be recorded, alertEvery how often
	// streams are looked at.
	alerts     chan alert.Alert
	alertEvery time.Duration

	// duties are the connections that this process works on, by id. They belong to
	// New, and then to the goroutine of follow.
	duties map[string]*duty
	// delivering says that sinks may run; it belongs to them too.
	delivering bool
	// ended, fenced and restarted tell that goroutine of connections, endings are
	// those that end.
	ended, fenced, restarted *mailbox
	endings                  sync.WaitGroup
	// deference is about shards that nodes with newer connectors should have.
	deference *deference

	ready  atomic.Bool
	failed chan error
	once   sync.Once
}

// New builds a Weir: it opens the store and every connection, and listens. On an
// error, which lists everything that it found, nothing is left open.
func New(ctx context.Context, o Options) (_ *Runtime, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("start weir: %w", err)
	}
	r := &Runtime{
		options: o, log: o.Log, feed: &api.Feed{}, failed: make(chan error, 1),
		duties: map[string]*duty{}, alerts: make(chan alert.Alert, alertsWaiting), alertEvery: alertEvery, ended: newMailbox(), fenced: newMailbox(), restarted: newMailbox(), deference: newDeference(),
		versions: map[string]int64{}, file: map[[2]string]written{}, prepared: map[[2]string]*connection{}, reconfigured: make(chan struct{}, 1), assigned: make(chan struct{}, 1),
	}
	r.set.Store(newSet())
	defer func() {
		if err != nil {
			r.release()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := checkCatalogs(o.Plugins, r.log); err != nil {
		return nil, err
	}
	policy := r.policy()
	r.guard = httpguard.New(httpguard.Config{AllowLoopback: api.IsLoopback(policy.Listen), AllowPrefixes: o.Config.AllowPrivate})
	var tlsErr, keysErr error
	if r.keys, keysErr = o.Config.Secrets.Keys(); keysErr == nil {
		if exposed := o.Config.Secrets.Exposed(); exposed != "" {
			r.log.Warn("the keys of the secrets are not kept well", "reason", exposed)
		}
	}
	if files := o.Config.TLS; files.Enabled() {
		r.tls, tlsErr = servertls.New(files, r.log)
	}
	if err := errors.Join(r.prepareAll(policy), tlsErr, keysErr); err != nil {
		return nil, err
	}
	if r.store, err = o.OpenStore(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	r.budgets = budget.NewKeeper(r.store, r.log)
	if err := r.configure(ctx); err != nil {
		return nil, err
	}
	if err := r.assemble(ctx, policy); err != nil {
		return nil, err
	}
	if err := r.listen(ctx, policy); err != nil {
		return nil, err
	}
	return r, errors.Join(r.listenPublic(ctx), r.listenConnect(ctx))
}

// policy says where the runtime listens.
func (r *Runtime) policy() api.ListenPolicy {
	c := r.options.Config
	listen := c.Listen
	if r.options.Listener != nil {
		listen = r.options.Listener.Addr().String()
	}
	if listen == "" {
		listen = DefaultListen
	}
	return api.ListenPolicy{Listen: listen, Token: c.AdminToken, PublicURL: c.PublicURL, AllowedHosts: c.AllowedHosts}
}

// prepareAll checks every connection of the file and returns all errors together.
func (r *Runtime) prepareAll(policy api.ListenPolicy) error {
	errs := []error{api.CheckListen(policy)}
	for _, c := range r.options.Config.Connections {
		one, err := r.prepare(c)
		errs = append(errs, err)
		r.prepared[[2]string{c.Project, c.Name}] = one
	}
	return errors.Join(errs...)
}

// retention is what the store keeps. Connections that are not deployed keep what
// the file says of all.
func (r *Runtime) retention() store.RetentionPolicy {
	p := store.RetentionPolicy{
		Default: r.options.Config.Retention, Connections: map[string]store.Retention{}, Needed: (&lowWater{runtime: r}).needed,
	}
	for _, c := range r.all() {
		if own := c.retention; own != nil && c.ID != "" {
			p.Connections[c.ID] = *own
		}
	}
	return p
}

// sharedPoll is how often a node asks a store that it shares what others have
// recorded: what LISTEN does not tell it leaves so late at most.
const sharedPoll = 150 * time.Millisecond

// assemble builds what works on the connections.
func (r *Runtime) assemble(ctx context.Context, policy api.ListenPolicy) error {
	var err error
	r.metrics = newMetrics(r)
	poll := time.Duration(0)
	if _, shared := r.store.(store.Shared); shared {
		poll = sharedPoll
	}
	if r.engine, err = delivery.New(delivery.Config{
		Store: r.store, Logger: r.log, StopTimeout: stopTimeout, Poll: poll, Changed: func(string) { r.feed.Notify() },
		Attempted: r.metrics.attempted, Notice: r.heard,
	}); err != nil {
		return err
	}
	if r.scheduler, err = scheduler.New(scheduler.Config{
		Store: waking{r.store, r.engine, r.deference}, Logger: r.log, Limits: r.options.Limits, NoSpread: r.options.Config.NoSpread, Fenced: r.onFenced,
	}); err != nil {
		return err
	}
	r.scheduler.Subscribe(r.changed)
	held, _ := r.store.Shards()
	// A lease that is lost since is no reason not to start: Run looks again.
	if err := r.assign(ctx, held); errors.Is(err, store.ErrFenced) {
		r.log.Warn("the work of some connections could not be taken on yet", "err", err)
	} else if err != nil {
		return err
	}
	return r.assembleFaces(policy)
}

// fail ends Run with err.
func (r *Runtime) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// changed counts a change of a stream and tells the pages of it.
func (r *Runtime) changed(c scheduler.Change) {
	r.metrics.changed(c)
	r.feed.NotifyProject(c.Project)
}

// Addr is the address that is served.
func (r *Runtime) Addr() net.Addr { return r.listener.Addr() }

// URL is the address of the dashboard.
func (r *Runtime) URL() string {
	if r.tls != nil {
		return "https://" + r.listener.Addr().String()
	}
	return "http://" + r.listener.Addr().String()
}

// PublicAddr is the address that webhooks alone are served on, or nil.
func (r *Runtime) PublicAddr() net.Addr {
	if r.publicListener == nil {
		return nil
	}
	return r.publicListener.Addr()
}

// ConnectAddr is the address that the Kafka Connect API has for itself, or nil.
func (r *Runtime) ConnectAddr() net.Addr {
	if r.connectListener == nil {
		return nil
	}
	return r.connectListener.Addr()
}

// Manifest returns what the connector of a connection declares.
func (r *Runtime) Manifest(connectionID string) (catalog.Manifest, bool) {
	c, ok := r.find(connectionID)
	if !ok {
		return catalog.Manifest{}, false
	}
	return c.manifest, true
}

// Running reports that a run of the stream is going on.
func (r *Runtime) Running(connectionID, stream string) bool {
	state, ok := r.scheduler.State(connectionID, stream)
	return ok && state.Running
}

// release closes what New has opened.
func (r *Runtime) release() {
	for _, l := range []net.Listener{r.listener, r.publicListener, r.connectListener} {
		if l != nil {
			_ = l.Close()
		}
	}
	if r.intake != nil {
		if err := r.intake.Close(); err != nil {
			r.log.Error("close the journal of webhooks", "err", err)
		}
	}
	if r.store != nil {
		if err := r.store.Close(); err != nil {
			r.log.Error("close store", "err", err)
		}
	}
	if r.guard != nil {
		r.guard.Close()
	}
}

// Connections carries out what is asked of connections; nil when no connector is
// linked in.
func (r *Runtime) Connections() *resource.Desk { return r.desk }
