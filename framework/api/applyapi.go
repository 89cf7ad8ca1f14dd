package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
)

// maxFileBody bounds a file that is applied.
const maxFileBody = 4 << 20

// applyFile compares a weir.yaml with the store, and brings the two together.
func (a *API) applyFile(r *http.Request) (reply, error) {
	query := newQuery(r)
	dry := query.oneOf("dry_run", "true", "false") == "true"
	prune := query.oneOf("prune", "true", "false") == "true"
	q, err := a.change(r, query)
	if err != nil {
		return reply{}, err
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return reply{}, err
	}
	file, err := a.cfg.Connections.ReadFile(r.Context(), fileName(r), content, false)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		p := newProblem(http.StatusUnprocessableEntity, "invalid_file", "the file is not valid; nothing was changed:\n"+problems.Error())
		for _, one := range problems {
			p.Errors = append(p.Errors, Fault{Detail: one.String(), Rule: one.Rule})
		}
		return reply{}, p
	}
	if err != nil {
		return reply{}, err
	}
	plan, err := a.cfg.Connections.ApplyFile(r.Context(), file.Projects, file.Connections, connection.FileOptions{Prune: prune}, q, dry)
	if err != nil {
		return reply{}, err
	}
	if !dry && plan.Changes() {
		a.cfg.Feed.Notify()
	}
	return ok(map[string]any{"dry_run": dry, "applied": !dry && plan.Changes(), "steps": plan.Steps})
}

// fileName is how the caller calls the file that the body is.
func fileName(r *http.Request) string {
	const most = 100
	_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
	name := parameters["filename"]
	if err != nil || name == "" || len(name) > most || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return "weir.yaml"
	}
	return name
}

func (a *API) getSchema(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	return ok(a.cfg.Connections.FileSchema())
}
