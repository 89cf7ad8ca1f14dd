package api

import (
	"net/http"
	"time"

	"github.com/weirhq/weir/framework/store"
)

type auditRow struct {
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	Actor      string    `json:"actor"`
	Role       string    `json:"role"`
	Address    string    `json:"address"`
	Action     string    `json:"action"`
	Project    string    `json:"project"`
	Connection string    `json:"connection"`
	Detail     string    `json:"detail"`
	Status     int       `json:"status"`
}

// listAudit lists what callers did, newest first.
func (a *API) listAudit(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit := q.limit()
	which := store.AuditQuery{From: q.moment("from"), To: q.moment("to")}
	which.Actor, _ = q.text("actor")
	which.Project, _ = q.text("project")
	which.Connection, _ = q.text("connection")
	if place := q.token("page_token", 1); place != nil {
		which.Before = place[0]
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	entries, err := a.cfg.Audit.AuditEntries(r.Context(), which, limit+1)
	if err != nil {
		return reply{}, err
	}
	out := struct {
		Entries []auditRow `json:"entries"`
		Next    *string    `json:"next"`
	}{Entries: []auditRow{}}
	if len(entries) > limit {
		entries = entries[:limit]
		out.Next = pageToken(entries[limit-1].ID)
	}
	for _, e := range entries {
		out.Entries = append(out.Entries, auditRow{e.ID, e.At.UTC(), e.Actor, e.Role, e.Address, e.Action, e.Project, e.Connection, e.Detail, e.Status})
	}
	return ok(out)
}
