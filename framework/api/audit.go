package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// AuditStore remembers what callers did; the store has it.
type AuditStore interface {
	// RecordAudit keeps an entry.
	RecordAudit(ctx context.Context, e store.AuditEntry) error
	// AuditEntries lists entries, newest first.
	AuditEntries(ctx context.Context, q store.AuditQuery, limit int) ([]store.AuditEntry, error)
}

// recordWait bounds the writing of an entry.
const recordWait = 5 * time.Second

// record keeps an entry. What was done is done: a failure is told to the log.
func (g *Gate) record(ctx context.Context, e store.AuditEntry) {
	if g.cfg.Audit == nil {
		return
	}
	// The caller may have gone, and their deed is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWait)
	defer cancel()
	e.At = g.cfg.Now().UTC().Truncate(time.Microsecond)
	e.ID = store.NewID("aud_", e.At)
	if err := g.cfg.Audit.RecordAudit(ctx, e); err != nil {
		g.cfg.Log.ErrorContext(ctx, "an audit entry could not be kept", "actor", e.Actor, "action", e.Action, "project", e.Project,
			"connection", e.Connection, "status", e.Status, "err", err)
	}
}

const (
	// refusedEvery is the least time between two entries about the same read that
	// is refused: a page that asks again and again must not push the rest out.
	refusedEvery = 10 * time.Minute
	// maxRefusals bounds the reads that are remembered.
	maxRefusals = 1024
)

// refusals remembers the reads that were refused lately.
type refusals struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// first reports that a read was not refused lately.
func (f *refusals) first(what string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.until[what]) {
		return false
	}
	if f.until == nil || len(f.until) >= maxRefusals {
		f.until = map[string]time.Time{}
	}
	f.until[what] = now.Add(refusedEvery)
	return true
}

// auditEntry says who calls what. It holds nothing of the body and the query,
// where secrets may be.
func auditEntry(c Caller, row Route, params chi.RouteParams) store.AuditEntry {
	e := store.AuditEntry{
		Actor: c.Name, Role: string(c.Role), Address: c.Address, Action: row.Method + " " + row.Pattern,
		Project: param(params, "project"), Connection: cmp.Or(param(params, "connection"), param(params, "connector")),
	}
	if e.Project == "" && scopeOf(row) == scopeDefault {
		e.Project = health.DefaultProject
	}
	var rest []string
	for i, key := range params.Keys {
		if key != "project" && key != "connection" && key != "connector" && key != "*" && i < len(params.Values) {
			rest = append(rest, key+" "+clipped(params.Values[i]))
		}
	}
	e.Detail = strings.Join(rest, ", ")
	return e
}

// audited is the answer to a request that acts: when its handler has returned,
// it is recorded.
type audited struct {
	http.ResponseWriter

	gate   *Gate
	ctx    context.Context //nolint:containedctx // that of the one request which this answers
	entry  store.AuditEntry
	note   *auditNote
	status int
	// returned says that the handler did, and did not panic.
	returned bool
}

// Unwrap is for [http.ResponseController].
func (a *audited) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader remembers the status.
func (a *audited) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write remembers that the status is 200.
func (a *audited) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b) //nolint:wrapcheck // as the writer beneath says it
}

// finish records what was done. A handler that answered nothing said 200; one
// that panicked did not.
func (a *audited) finish() {
	a.entry.Status = a.status
	switch {
	case a.status != 0:
	case a.returned:
		a.entry.Status = http.StatusOK
	default:
		a.entry.Status = http.StatusInternalServerError
	}
	a.note.mu.Lock()
	details := append([]string{a.entry.Detail}, a.note.text...)
	a.note.mu.Unlock()
	a.entry.Detail = strings.Join(slices.DeleteFunc(details, func(s string) bool { return s == "" }), ", ")
	a.gate.record(a.ctx, a.entry)
}

// auditNote is what a handler adds to the entry of its request.
type auditNote struct {
	mu   sync.Mutex
	text []string
}

type auditKey struct{}

// NoteAudit adds to the audit entry of a request what its handler knows: a
// revision, a name. It must hold no secret. A request that is not recorded has no
// entry, and nothing happens.
func NoteAudit(ctx context.Context, detail string) {
	if note, ok := ctx.Value(auditKey{}).(*auditNote); ok {
		note.mu.Lock()
		defer note.mu.Unlock()
		note.text = append(note.text, detail)
	}
}
