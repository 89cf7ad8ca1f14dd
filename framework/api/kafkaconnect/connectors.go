package kafkaconnect

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// info is a connector as it is configured.
type info struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
	Tasks  []taskID          `json:"tasks"`
	Type   string            `json:"type"`
}

type taskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

func (f *Face) info(c Connection) info {
	i := info{Name: exactName(c), Config: f.classes.render(c), Tasks: []taskID{}, Type: c.Type}
	if hasTask(c) {
		i.Tasks = append(i.Tasks, taskID{i.Name, 0})
	}
	return i
}

// given is the name that the path has.
func given(r *http.Request) (string, error) {
	name, err := url.PathUnescape(chi.URLParam(r, "connector"))
	if err != nil || checkName(name) != "" {
		return "", errorf(http.StatusBadRequest, "the name of the connector in the path is malformed")
	}
	return name, nil
}

// find returns the connection that the path names. missing is the message where
// there is none, with the name for its %s.
func (f *Face) find(r *http.Request, missing string) (Connection, error) {
	name, err := given(r)
	if err != nil {
		return Connection{}, err
	}
	c, err := f.config.Desk.Get(r.Context(), project(r), connectionName(name))
	if errors.Is(err, ErrNotFound) || err == nil && exactName(c) != name {
		return Connection{}, errorf(http.StatusNotFound, missing, name)
	}
	return c, err
}

const notFound = "Connector %s not found"

func (f *Face) list(r *http.Request) (reply, error) {
	all, err := f.config.Desk.List(r.Context(), project(r))
	if err != nil {
		return reply{}, err
	}
	expansions := r.URL.Query()["expand"]
	if !slices.Contains(expansions, "status") && !slices.Contains(expansions, "info") {
		names := []string{}
		for _, c := range all {
			names = append(names, exactName(c))
		}
		return reply{status: http.StatusOK, body: names}, nil
	}
	expanded := map[string]map[string]any{}
	for _, c := range all {
		one := map[string]any{}
		if slices.Contains(expansions, "status") {
			one["status"] = f.statusOf(c)
		}
		if slices.Contains(expansions, "info") {
			one["info"] = f.info(c)
		}
		expanded[exactName(c)] = one
	}
	return reply{status: http.StatusOK, body: expanded}, nil
}

func (f *Face) get(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: f.info(c)}, nil
}

func (f *Face) getConfig(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: f.classes.render(c)}, nil
}

func (f *Face) create(r *http.Request) (reply, error) {
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	n, err := readNewConnector(body)
	if err != nil {
		return reply{}, err
	}
	return f.save(r, n.name, n.config, n.state, true)
}

// put takes the whole configuration of a connector, which may be new.
func (f *Face) put(r *http.Request) (reply, error) {
	name, err := given(r)
	if err != nil {
		return reply{}, err
	}
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	config, err := configOf("the request body", body)
	if err != nil {
		return reply{}, err
	}
	return f.save(r, name, config, StateRunning, false)
}

// patch changes keys of a configuration; null takes a key out.
func (f *Face) patch(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	changes, err := texts("the request body", body)
	if err != nil {
		return reply{}, err
	}
	config := f.classes.render(c)
	for key, value := range changes {
		if value == nil {
			delete(config, key)
			continue
		}
		config[key] = *value
	}
	return f.save(r, exactName(c), config, StateRunning, false)
}

// save creates a connector, or gives it another configuration.
func (f *Face) save(r *http.Request, name string, config map[string]string, state State, fresh bool) (reply, error) {
	if problem := checkName(name); problem != "" {
		return reply{}, errorf(http.StatusBadRequest, "%s", problem)
	}
	if inside, ok := config[keyName]; ok && inside != name {
		return reply{}, errorf(http.StatusBadRequest, "Connector name configuration (%s) doesn't match connector name in the URL (%s)", inside, name)
	}
	ctx, p := r.Context(), project(r)
	there, err := f.config.Desk.Get(ctx, p, connectionName(name))
	exists := err == nil
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return reply{}, err
	case exists && fresh:
		return reply{}, errorf(http.StatusConflict, "Connector %s already exists", name)
	case exists && exactName(there) != name:
		return reply{}, errorf(http.StatusConflict, "Connector %s has the name that %s would have in Weir; choose another one", exactName(there), name)
	}
	class, errs := f.classes.of(config)
	if len(errs) > 0 {
		return reply{}, malformed(config[keyClass], errs)
	}
	read := class.read(name, config)
	if len(read.errs) > 0 {
		// What the desk finds beside belongs to the same answer.
		if more, ok := errors.AsType[*InvalidError](f.config.Desk.Check(ctx, p, read.spec)); ok {
			read.errs = append(read.errs, read.others(more)...)
		}
		return reply{}, malformed(class.key, read.errs)
	}
	out := reply{status: http.StatusOK}
	if exists {
		read.rules(&there)
		err = f.config.Desk.Replace(ctx, p, read.spec)
	} else {
		read.rules(nil)
		out.status, out.location = http.StatusCreated, locationOf(r, name)
		err = f.config.Desk.Create(ctx, p, read.spec, state)
	}
	var invalid *InvalidError
	switch {
	case errors.Is(err, ErrExists):
		return reply{}, errorf(http.StatusConflict, "Connector %s already exists", name)
	case errors.As(err, &invalid):
		return reply{}, malformed(class.key, read.faults(invalid))
	case err != nil:
		return reply{}, err
	}
	c, err := f.config.Desk.Get(ctx, p, read.spec.Name)
	if err != nil {
		return reply{}, err
	}
	out.body = f.info(c)
	return out, nil
}

// others are the desk's faults about keys that have none yet.
func (r *reading) others(err *InvalidError) []keyError {
	return slices.DeleteFunc(r.faults(err), func(e keyError) bool {
		return slices.ContainsFunc(r.errs, func(have keyError) bool { return have.key == e.key })
	})
}

// malformed is the error of a configuration: all that is wrong with it, and
// where to see it by key.
func malformed(class string, errs []keyError) error {
	slices.SortStableFunc(errs, func(x, y keyError) int { return strings.Compare(x.key, y.key) })
	var b strings.Builder
	fmt.Fprintf(&b, "Connector configuration is invalid and contains the following %d error(s):", len(errs))
	for _, e := range errs {
		b.WriteString("\n" + e.message)
	}
	if class == "" {
		class = "{connectorType}"
	}
	b.WriteString("\nYou can also find the above list of errors at the endpoint `/connector-plugins/" + class + "/config/validate`")
	return errorf(http.StatusBadRequest, "%s", b.String())
}

// locationOf is where a new connector is.
func locationOf(r *http.Request, name string) string {
	prefix := ""
	if p := chi.URLParam(r, "project"); p != "" {
		prefix = "/p/" + p
	}
	return prefix + "/connectors/" + url.PathEscape(name)
}

func (f *Face) delete(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	if err := f.config.Desk.Delete(r.Context(), project(r), c.Name); err != nil && !errors.Is(err, ErrNotFound) {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// act does something with a connector, and answers without a body.
func (f *Face) act(action Action, status int) func(r *http.Request) (reply, error) {
	return func(r *http.Request) (reply, error) {
		c, err := f.find(r, "Unknown connector %s")
		if err != nil {
			return reply{}, err
		}
		if err := f.config.Desk.Act(r.Context(), project(r), c.Name, action); err != nil {
			return reply{}, err
		}
		return reply{status: status}, nil
	}
}

// topics are the streams of a connector.
func (f *Face) topics(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	offsets, err := f.config.Desk.Offsets(r.Context(), project(r), c.Name)
	if err != nil {
		return reply{}, err
	}
	topics := map[string]bool{}
	for _, o := range offsets {
		id := o.Stream
		if c.Type == typeSource {
			id = c.Name + "." + o.Stream
		}
		topics[id] = true
	}
	list := slices.AppendSeq([]string{}, maps.Keys(topics))
	slices.Sort(list)
	return reply{status: http.StatusOK, body: map[string]any{exactName(c): map[string]any{"topics": list}}}, nil
}

// resetTopics is refused: the topics of a connector are those it has, not those
// it was seen to use.
func (f *Face) resetTopics(r *http.Request) (reply, error) {
	if _, err := f.find(r, notFound); err != nil {
		return reply{}, err
	}
	return reply{}, errorf(http.StatusForbidden, "Topic tracking reset is disabled.")
}
