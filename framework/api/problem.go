package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Problem is an error answer, RFC 9457.
type Problem struct {
	// Type is about:blank: Title says what the status says, and Code is what
	// programs look at.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail names the thing, the reason and the way out.
	Detail string `json:"detail,omitempty"`
	// Code names the kind of problem and does not change: "unknown_stream".
	Code string `json:"code"`
	// First is the first sequence that is kept, where events were asked for that
	// retention has removed.
	First int64 `json:"first_sequence,omitempty"`
	// Epoch is the epoch of the log, where another one was asked for.
	Epoch int64 `json:"epoch,omitempty"`
	// Errors lists every fault of the request, where there may be several.
	Errors []Fault `json:"errors,omitempty"`

	retryAfter int
}

// Fault is one fault of a request.
type Fault struct {
	// Parameter names the query parameter or header, or is "" for one of the body.
	Parameter string `json:"parameter,omitempty"`
	// Path is that of the value in the body, such as "config.headers[0].name".
	Path   string `json:"path,omitempty"`
	Detail string `json:"detail"`
	// Rule is the id of the rule that is broken, or "".
	Rule string `json:"rule,omitempty"`
}

// Error returns the detail, so that a handler can return a problem as its error.
func (p *Problem) Error() string { return p.Detail }

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// ConflictError is an error of an [Operations] that the state of the stream is
// the reason of: it is paused, disabled or busy. It is answered 409.
type ConflictError struct {
	Err error
	// Busy says that it passes by itself: the stream is being read.
	Busy bool
}

// Error returns the reason.
func (e *ConflictError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ConflictError) Unwrap() error { return e.Err }

// busySeconds is what a caller is asked to wait when the store is busy.
const busySeconds = 2

// ProblemOf is the one place that says which error is answered how.
func ProblemOf(err error) *Problem {
	var (
		p        *Problem
		unknown  *health.UnknownError
		conflict *ConflictError
		tooLarge *http.MaxBytesError
		trimmed  *ingest.TrimmedError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &unknown):
		return newProblem(http.StatusNotFound, "unknown_"+unknown.Kind, unknown.Error())
	case errors.As(err, &conflict):
		if conflict.Busy {
			return newProblem(http.StatusConflict, "busy", conflict.Error())
		}
		return newProblem(http.StatusConflict, "conflict", conflict.Error())
	case errors.As(err, &trimmed):
		p = newProblem(http.StatusGone, "events_trimmed", trimmed.Error())
		p.First = trimmed.First
		return p
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "body_too_large", "the request body is larger than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
	case configurationProblem(err) != nil:
		return configurationProblem(err)
	case errors.Is(err, framework.ErrCursorUnreadable):
		return newProblem(http.StatusConflict, "cursor_unreadable", err.Error())
	case errors.Is(err, store.ErrConflict):
		return newProblem(http.StatusConflict, "conflict", "the stream's checkpoint was moved meanwhile; try again")
	case errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "not_found", "it was removed meanwhile")
	case errors.Is(err, store.ErrDiskLow):
		p = newProblem(http.StatusServiceUnavailable, "disk_low", "the disk of the store is nearly full, so nothing more is recorded; make room there")
		p.retryAfter = busySeconds
		return p
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFenced):
		p = newProblem(http.StatusServiceUnavailable, "store_unavailable", "the store cannot do this now; try again")
		p.retryAfter = busySeconds
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusGatewayTimeout, "deadline", "the deadline of this request has passed; try again")
	default:
		return newProblem(http.StatusInternalServerError, "internal", "something failed inside; the log says what")
	}
}

// write answers with p.
func (p *Problem) write(w http.ResponseWriter) {
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

// fail answers with the problem of err, and logs what only the log may say.
func fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	p := ProblemOf(err)
	if p.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", p.Status, "err", err)
	}
	p.write(w)
}

// writeJSON answers with v, without escaping HTML: an answer is no page, and
// says so in its type.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	var b bytes.Buffer
	if err := appendJSON(&b, v); err != nil {
		// Answers hold text, numbers and raw JSON that was checked before.
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	writeBytes(w, status, contentType, b.Bytes())
}

// appendJSON writes v as answers have it.
func appendJSON(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func writeBytes(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone: nobody is left to tell
}

// configurationProblem is the problem of an error of a desk of connections, or nil.
func configurationProblem(err error) *Problem {
	faults, invalid := errors.AsType[connection.Faults](err)
	managed, owned := errors.AsType[*connection.ManagedError](err)
	broken, open := errors.AsType[*connection.OpenError](err)
	switch {
	case invalid:
		p := newProblem(http.StatusUnprocessableEntity, "invalid_connection", "nothing was changed: "+faults.Error())
		for _, f := range faults {
			p.Errors = append(p.Errors, Fault{Path: f.Path, Detail: f.Message, Rule: f.Rule})
		}
		return p
	case owned:
		return newProblem(http.StatusConflict, "managed_by_file", managed.Error())
	case open:
		return newProblem(http.StatusUnprocessableEntity, "does_not_open", broken.Error())
	case errors.Is(err, connection.ErrMalformed):
		return newProblem(http.StatusUnprocessableEntity, "malformed_body", err.Error())
	case errors.Is(err, connection.ErrPrecondition):
		return newProblem(http.StatusPreconditionFailed, "stale", err.Error())
	case errors.Is(err, connection.ErrState):
		return newProblem(http.StatusConflict, "conflict", err.Error())
	case errors.Is(err, store.ErrExists):
		return newProblem(http.StatusConflict, "exists", err.Error()+"; choose another name, or change the one that is there")
	case errors.Is(err, store.ErrStale):
		return newProblem(http.StatusConflict, "conflict", "it was changed meanwhile; try again")
	case errors.Is(err, store.ErrReused):
		return newProblem(http.StatusUnprocessableEntity, "idempotency_key_reused", "this Idempotency-Key was used for another request; make a new one")
	}
	return nil
}
