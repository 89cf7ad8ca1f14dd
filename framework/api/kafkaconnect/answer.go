package kafkaconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework/api"
)

// Error is an error of this face: its body is {"error_code", "message"}.
type Error struct {
	Status  int
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func errorf(status int, format string, args ...any) *Error {
	return &Error{status, fmt.Sprintf(format, args...)}
}

// WriteError answers as this face answers errors, for what stands before it.
func WriteError(w http.ResponseWriter, status int, message string) {
	write(w, status, map[string]any{"error_code": status, "message": message})
}

// reply is an answer: a value for JSON, or nil for no body.
type reply struct {
	status   int
	body     any
	location string
}

// answer turns a function that returns its answer into a handler.
func (f *Face) answer(do func(r *http.Request) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := do(r)
		if err != nil {
			f.fail(w, r, err)
			return
		}
		if out.location != "" {
			w.Header().Set("Location", out.location)
		}
		if out.body == nil {
			w.WriteHeader(out.status)
			return
		}
		write(w, out.status, out.body)
	}
}

func (f *Face) fail(w http.ResponseWriter, r *http.Request, err error) {
	var own *Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		WriteError(w, own.Status, own.Message)
	case errors.As(err, &tooLarge):
		WriteError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, ErrRefused):
		WriteError(w, http.StatusConflict, strings.TrimPrefix(err.Error(), ErrRefused.Error()+": "))
	default:
		p := api.ProblemOf(err)
		if p.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
			f.config.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", p.Status, "err", err)
		}
		if p.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
		}
		WriteError(w, p.Status, p.Detail)
	}
}

// retrySeconds is what a caller is asked to wait for the store.
const retrySeconds = 2

func write(w http.ResponseWriter, status int, body any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the caller has gone: nobody is left to tell
}
