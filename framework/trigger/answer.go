package trigger

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
)

// refusal is the answer to a request that starts nothing: an RFC 9457 problem.
type refusal struct {
	status       int
	code, detail string
	// fields are what is wrong with the input.
	fields []fault
	header map[string]string
	// unread says that the body was not read to its end.
	unread bool
	// cause is for the log.
	cause error
}

type fault struct {
	Parameter string `json:"parameter"`
	Detail    string `json:"detail"`
}

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, code: "not_found", detail: "no trigger has this path", unread: true}
}

func wrongMethod(allowed []string) *refusal {
	list := strings.Join(allowed, ", ")
	return &refusal{
		status: http.StatusMethodNotAllowed, code: "method_not_allowed", detail: "this trigger takes " + list,
		header: map[string]string{"Allow": list}, unread: true,
	}
}

func tooLarge() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: "too_large", detail: "the body is larger than 1 MiB", unread: true}
}

func busy(why string) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: "busy", detail: "busy; try again soon", header: map[string]string{"Retry-After": "5"},
		unread: true, cause: errors.New(why),
	}
}

// unverified is the same for every reason.
func unverified(challenge string) *refusal {
	no := &refusal{status: http.StatusUnauthorized, code: "unauthorized", detail: "the request does not prove that it may call this trigger"}
	if challenge != "" {
		no.header = map[string]string{"Www-Authenticate": challenge}
	}
	return no
}

// refusalOf says why a run could not be started.
func refusalOf(err error) *refusal {
	switch {
	case errors.Is(err, errType):
		return &refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_type", detail: err.Error()}
	case errors.Is(err, framework.ErrInput):
		no := &refusal{status: http.StatusUnprocessableEntity, code: "invalid_input", detail: err.Error()}
		if faults, ok := errors.AsType[framework.InputErrors](err); ok {
			no.detail = "the input is not valid"
			for _, f := range faults {
				no.fields = append(no.fields, fault{f.Name, f.Reason})
			}
		}
		return no
	case errors.Is(err, action.ErrTooMany):
		return &refusal{status: http.StatusTooManyRequests, code: "too_many_runs", detail: err.Error(), header: map[string]string{"Retry-After": retrySeconds(time.Second)}}
	case errors.Is(err, action.ErrStopping):
		return &refusal{status: http.StatusServiceUnavailable, code: "stopping", detail: err.Error(), header: map[string]string{"Retry-After": retrySeconds(5 * time.Second)}}
	}
	return &refusal{status: http.StatusInternalServerError, code: "not_started", detail: "the run could not be started; the log of the server says why", cause: err}
}

func retrySeconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(math.Ceil(d.Seconds()), 1)), 10)
}

// unreadWait is how long the rest of a body that nobody wants may take to come.
const unreadWait = 5 * time.Second

func (no *refusal) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if no.unread {
		// A recorder in a test has no connection.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadWait))
		if r.ProtoMajor == 1 && r.ContentLength != 0 {
			h.Set("Connection", "close")
		}
	}
	for name, value := range no.header {
		h.Set(name, value)
	}
	writeJSON(w, no.status, "application/problem+json", struct {
		Type   string  `json:"type"`
		Title  string  `json:"title"`
		Status int     `json:"status"`
		Code   string  `json:"code"`
		Detail string  `json:"detail"`
		Errors []fault `json:"errors,omitempty"`
	}{"about:blank", http.StatusText(no.status), no.status, no.code, no.detail, no.fields})
}

func writeJSON(w http.ResponseWriter, status int, kind string, value any) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The caller may be gone.
	_ = json.NewEncoder(w).Encode(value)
}
