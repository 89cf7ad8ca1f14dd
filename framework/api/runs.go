package api

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

type runList struct {
	Runs []runRow `json:"runs"`
	Next *string  `json:"next"`
}

var runID = regexp.MustCompile(`^run_[0-9a-z]{1,60}$`)

// runBefore reads the run that a list goes on before, "" for the newest.
func (q *query) runBefore() string {
	before, given := q.text("before")
	if given && !runID.MatchString(before) {
		q.fault("before", "is %s; it must be the id of a run, or \"next\" of the last answer", shown(before))
	}
	return before
}

func (a *API) listRuns(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit := q.limit()
	before := q.runBefore()
	if err := q.err(); err != nil {
		return reply{}, err
	}
	t, err := a.recorded(r)
	if err != nil {
		return reply{}, err
	}
	runs, err := a.cfg.Store.Runs(r.Context(), t.Connection.ID, t.Stream.Key, before, limit+1)
	if err != nil {
		return reply{}, fmt.Errorf("list runs: %w", err)
	}
	out := runList{Runs: []runRow{}}
	if len(runs) > limit {
		runs = runs[:limit]
		out.Next = &runs[limit-1].ID
	}
	for _, run := range runs {
		out.Runs = append(out.Runs, newRunRow(t.Connection, run))
	}
	return ok(out)
}

func (a *API) getRun(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	id := chi.URLParam(r, "run_id")
	unknown := health.NewUnknownRun(project(r), id)
	if !runID.MatchString(id) {
		return reply{}, unknown
	}
	run, err := a.cfg.Store.Run(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		c, acted, err := a.actionRun(r)
		if err != nil {
			return reply{}, err
		}
		// The output may be personal data: see getRunOutput.
		acted.Output = nil
		return ok(newActionRow(c, acted))
	}
	if err != nil {
		return reply{}, fmt.Errorf("read run: %w", err)
	}
	connections, err := a.cfg.Board.Connections(r.Context(), project(r))
	if err != nil {
		return reply{}, err
	}
	for _, c := range connections {
		if c.ID == run.ConnectionID {
			return ok(newRunRow(c, run))
		}
	}
	// The run of another project is as unknown as one that never was.
	return reply{}, unknown
}
