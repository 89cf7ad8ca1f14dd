package kafkaconnect

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/health"
)

// Config is what [New] needs.
type Config struct {
	// Desk has the connections, Plugins the connectors that are linked. Both are
	// required.
	Desk    Desk
	Plugins []framework.Plugin
	// Levels are the levels of the log; nil leaves their routes out.
	Levels Levels
	// Version and Commit are those of this binary, Cluster names the store.
	Version, Commit, Cluster string
	// Worker is this process, host:port.
	Worker string
	// Ready says why the process should get no traffic now; nil for always.
	Ready func(r *http.Request) error
	// Log gets the causes of answers in the 500s. The default writes nothing.
	Log *slog.Logger
}

// Face is the Kafka Connect REST API. Serve it behind the gate of the process.
type Face struct {
	config  Config
	classes classes
	router  *chi.Mux
}

// New returns the face.
func New(c Config) (*Face, error) {
	if c.Desk == nil || len(c.Plugins) == 0 {
		return nil, errors.New("kafka connect face: Desk and Plugins are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func(*http.Request) error { return nil }
	}
	f := &Face{config: c, classes: newClasses(c.Plugins), router: chi.NewRouter()}
	for _, prefix := range Prefixes() {
		f.routes(prefix)
	}
	f.router.Get("/health", f.answer(f.health))
	if c.Levels != nil {
		f.router.Get("/admin/loggers", f.answer(f.listLoggers))
		f.router.Get("/admin/loggers/{logger}", f.answer(f.getLogger))
		f.router.Put("/admin/loggers/{logger}", f.answer(f.setLogger))
	}
	f.router.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		WriteError(w, http.StatusNotFound, "HTTP 404 Not Found")
	})
	f.router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		WriteError(w, http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed")
	})
	return f, nil
}

// Prefixes are the paths below which the connectors of a project are: those of
// the default project, and those of all.
func Prefixes() []string { return []string{"", "/p/{project}"} }

// Handler returns the routes.
func (f *Face) Handler() http.Handler { return f.router }

// Owns reports that a path belongs to this face, whether or not it is there.
func Owns(path string) bool {
	if rest, ok := strings.CutPrefix(path, "/p/"); ok {
		_, after, _ := strings.Cut(rest, "/")
		path = "/" + after
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "connectors" || first == "connector-plugins" || path == "/health" || path == "/admin/loggers" || strings.HasPrefix(path, "/admin/loggers/")
}

func (f *Face) routes(prefix string) {
	r, one := f.router, prefix+"/connectors/{connector}"
	r.Get(prefix+"/connectors", f.answer(f.list))
	r.Post(prefix+"/connectors", f.answer(f.create))
	r.Get(one, f.answer(f.get))
	r.Put(one, f.answer(f.put))
	r.Delete(one, f.answer(f.delete))
	r.Get(one+"/config", f.answer(f.getConfig))
	r.Put(one+"/config", f.answer(f.put))
	r.Patch(one+"/config", f.answer(f.patch))
	r.Get(one+"/status", f.answer(f.status))
	r.Put(one+"/pause", f.answer(f.act(ActionPause, http.StatusAccepted)))
	r.Put(one+"/resume", f.answer(f.act(ActionResume, http.StatusAccepted)))
	// The gate lets no page make these two; see acts in package api.
	r.Get(one+"/pause", f.answer(f.act(ActionPause, http.StatusAccepted)))
	r.Get(one+"/resume", f.answer(f.act(ActionResume, http.StatusAccepted)))
	r.Put(one+"/stop", f.answer(f.act(ActionStop, http.StatusNoContent)))
	r.Post(one+"/restart", f.answer(f.restart))
	r.Get(one+"/tasks", f.answer(f.tasks))
	r.Get(one+"/tasks/{task}/status", f.answer(f.taskStatus))
	r.Post(one+"/tasks/{task}/restart", f.answer(f.restartTask))
	r.Get(one+"/offsets", f.answer(f.offsets))
	r.Patch(one+"/offsets", f.answer(f.moveOffsets))
	r.Delete(one+"/offsets", f.answer(f.resetOffsets))
	r.Get(one+"/topics", f.answer(f.topics))
	r.Put(one+"/topics/reset", f.answer(f.resetTopics))
	r.Get(prefix+"/connector-plugins", f.answer(f.plugins))
	r.Get(prefix+"/connector-plugins/{plugin}/config", f.answer(f.pluginConfig))
	r.Put(prefix+"/connector-plugins/{plugin}/config/validate", f.answer(f.validate))
}

// Root answers GET / for callers that are no browsers.
func (f *Face) Root(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]string{"version": f.config.Version, "commit": f.config.Commit, "kafka_cluster_id": f.config.Cluster})
}

func (f *Face) health(r *http.Request) (reply, error) {
	if err := f.config.Ready(r); err != nil {
		return reply{status: http.StatusServiceUnavailable, body: map[string]string{"status": "starting", "message": "This process should get no traffic now."}}, nil
	}
	return reply{status: http.StatusOK, body: map[string]string{"status": "healthy", "message": "Worker has completed startup and is ready to handle requests."}}, nil
}

// project is the project that the path names, or the default.
func project(r *http.Request) string {
	if p := chi.URLParam(r, "project"); p != "" {
		return p
	}
	return health.DefaultProject
}
