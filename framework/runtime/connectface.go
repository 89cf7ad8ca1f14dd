package runtime

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/api/kafkaconnect"
	"github.com/weirhq/weir/framework/loglevel"
)

// connectFace returns the Kafka Connect API over this process's connections.
func (r *Runtime) connectFace(policy api.ListenPolicy) (*kafkaconnect.Face, error) {
	c := kafkaconnect.Config{
		Desk: connectDesk{r}, Plugins: r.options.Plugins, Version: r.options.Version, Commit: r.options.Commit,
		Cluster: "weir-" + strconv.FormatInt(r.store.LogEpoch(), 10), Worker: policy.Listen, Log: r.log,
		Ready: func(request *http.Request) error { return r.checkReady(request.Context()) },
	}
	if levels := loglevel.Of(r.log); levels != nil {
		c.Levels = levels
	}
	return kafkaconnect.New(c)
}

// foreignError answers errors of the paths of that face in its own form.
func foreignError(w http.ResponseWriter, request *http.Request, status int, message string) bool {
	if !kafkaconnect.Owns(request.URL.Path) {
		return false
	}
	kafkaconnect.WriteError(w, status, message)
	return true
}

// assembleConnect builds the server that has the face alone, if there is one.
func (r *Runtime) assembleConnect(gate api.GateConfig, face *kafkaconnect.Face) error {
	listen := r.options.Config.ConnectListen
	if listen == "" {
		return nil
	}
	gate.Policy.Listen, gate.ErrorPage, gate.Triggers = listen, nil, nil
	gate.Foreign = func(w http.ResponseWriter, _ *http.Request, status int, message string) bool {
		kafkaconnect.WriteError(w, status, message)
		return true
	}
	own, err := api.NewGate(gate)
	if err != nil {
		return err
	}
	root := chi.NewRouter()
	root.Get("/", face.Root)
	handler, err := own.Handler(root, face.Handler())
	if err != nil {
		return err
	}
	r.connect = r.newServer(handler)
	return nil
}

// listenConnect opens the listener of that server.
func (r *Runtime) listenConnect(ctx context.Context) (err error) {
	if r.connect != nil {
		r.connectListener, err = listenOn(ctx, r.options.Config.ConnectListen, "--connect-listen")
	}
	return err
}
