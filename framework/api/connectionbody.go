package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework/connection"
)

// readObject reads a body of JSON, strictly.
func readObject(r *http.Request) (map[string]any, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body must be JSON: send Content-Type: application/json")
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return connection.Decode(body)
}

// written is a body of a connection in either form.
type written struct {
	document map[string]any
	form     string
	paths    map[string]string
	draft    bool
	// faults are those of the form.
	faults connection.Faults
}

// readConnection reads a connection in either form. The name must be the one of
// the path.
func readConnection(r *http.Request, name string) (written, error) {
	document, err := readObject(r)
	if err != nil {
		return written{}, err
	}
	out := written{document: document}
	var faults connection.Faults
	given, ok := document["name"].(string)
	switch {
	case name == "" && (!ok || given == ""):
		faults = append(faults, connection.Fault{Path: "name", Message: "is required"})
	case name != "" && document["name"] != nil && given != name:
		faults = append(faults, connection.Fault{Path: "name", Message: "must be the name in the path, " + shown(name)})
	}
	if p, is := document["project"]; is && p != project(r) {
		faults = append(faults, connection.Fault{Path: "project", Message: "must be the project of the path, " + shown(project(r))})
	}
	if deploy, is := document["deployToWorker"]; is {
		value, isBool := deploy.(bool)
		if !isBool {
			faults = append(faults, connection.Fault{Path: "deployToWorker", Message: "must be true or false"})
		}
		out.draft = isBool && !value
		delete(document, "deployToWorker")
	}
	for _, key := range readOnly {
		delete(document, key)
	}
	if connection.IsWebhook(document) {
		var more connection.Faults
		out.document, out.paths, more = connection.FromWebhook(document)
		out.form, faults = connection.FormWebhook, append(faults, more...)
	}
	out.faults = faults
	return out, nil
}

// faulty lists everything that is wrong with a body whose form is wrong already.
func (a *API) faulty(r *http.Request, name string, body written) error {
	_, err := a.cfg.Connections.Validate(r.Context(), project(r), name, body.document, connection.Request{Form: body.form})
	more, ok := errors.AsType[connection.Faults](err)
	if err != nil && !ok {
		return err
	}
	faults := body.faults
	for _, one := range more.Renamed(body.paths) {
		if !slices.ContainsFunc(body.faults, func(f connection.Fault) bool { return f.Path == one.Path }) {
			faults = append(faults, one)
		}
	}
	return faults
}

// readOnly are the members of an answer that may come back with it, and say nothing.
var readOnly = []string{
	"id", "form", "state", "reason", "node", "revision", "deployed_revision", "running_revision", "managed_by", "secrets", "warnings",
	"created_at", "updated_at",
}

// described puts the faults of a body under the names that the caller used.
func (w written) described(err error) error {
	if faults, ok := errors.AsType[connection.Faults](err); ok && w.paths != nil {
		return faults.Renamed(w.paths)
	}
	return err
}
