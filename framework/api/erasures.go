package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/weirhq/weir/framework/store"
)

// erase blanks what is known of an entity. Its id is in the body: addresses are
// written into logs.
func (a *API) erase(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	var body struct {
		Entity string `json:"entity"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return reply{}, tooLarge
		}
		return reply{}, newProblem(http.StatusBadRequest, "invalid_body", `the body must be {"entity":"…"}, with the id of the entity to erase`)
	}
	c, err := a.connection(r)
	if err != nil {
		return reply{}, err
	}
	out, err := a.cfg.Deliveries.Erase(r.Context(), c.ID, body.Entity)
	if errors.Is(err, store.ErrInvalid) {
		return reply{}, newProblem(http.StatusBadRequest, "invalid_entity",
			fmt.Sprintf("the id of the entity has %d to 1024 bytes and no space around it: what holds it is searched for, and a shorter one is in everything", store.MinErasedBytes))
	}
	if err != nil {
		return reply{}, err
	}
	a.cfg.Log.InfoContext(r.Context(), "entity erased", "project", c.Project, "connection", c.Name, "erasure", out.ID, "entity_hash", out.Entity,
		"events", out.Events, "deliveries", out.Deliveries, "sink_copies", out.SinkCopies)
	a.cfg.Feed.NotifyProject(project(r))
	return ok(out)
}

// listErasures lists the records of erasures, oldest first.
func (a *API) listErasures(r *http.Request) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	list, err := a.cfg.Deliveries.Erasures(r.Context(), c.ID)
	if err != nil {
		return reply{}, err
	}
	if list == nil {
		list = []store.Erasure{}
	}
	return ok(map[string]any{"erasures": list})
}
