package trigger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/store"
)

// message is one frame as callers read it.
type message struct {
	// Type is progress, complete or error.
	Type  string `json:"type"`
	RunID string `json:"run_id"`
	// Progress is a percentage, and Message a text that may come with it.
	Progress *int   `json:"progress,omitempty"`
	Message  string `json:"message,omitempty"`
	// Output is what the action returned.
	Output json.RawMessage `json:"output,omitempty"`
	// State says how a run ended that did not succeed: failed, canceled, interrupted.
	State store.RunState `json:"state,omitempty"`
	Error string         `json:"error,omitempty"`
}

// insideError is what callers hear of a fault that is none of theirs.
const insideError = "the action failed inside; its run says why"

func messageOf(id string, f action.Frame) message {
	if f.End == nil {
		return message{Type: "progress", RunID: id, Progress: &f.Progress.Percent, Message: f.Progress.Message}
	}
	end := f.End
	if end.State == store.RunSucceeded {
		out := json.RawMessage(end.Output)
		if len(out) == 0 {
			out = json.RawMessage("null")
		}
		return message{Type: "complete", RunID: id, Output: out}
	}
	m := message{Type: "error", RunID: id, State: end.State, Error: end.Error}
	if end.ErrorClass == string(framework.ClassBug) {
		m.Error = insideError
	}
	return m
}

// Streaming says how the frames of a run are sent.
type Streaming struct {
	// Heartbeat is how often something is sent to a caller for whom there is no news.
	// The default is 15 s.
	Heartbeat time.Duration
	// Write bounds one write to a caller who does not read. The default is 10 s.
	Write time.Duration
}

const (
	heartbeat = 15 * time.Second
	writeTime = 10 * time.Second
	// retryMillis is when a browser comes back.
	retryMillis = 2000
)

// Stream sends the frames of a run as server-sent events until the run has ended,
// the caller is gone or the process stops. Every frame has an id with which its
// caller may come back, see [ReadEventID].
func (s Streaming) Stream(w http.ResponseWriter, r *http.Request, id string, watcher *action.Watcher) {
	orDefault(&s.Heartbeat, heartbeat)
	orDefault(&s.Write, writeTime)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would keep the frames back
	control := http.NewResponseController(w)
	// One buffer is every frame's: a thousand callers may hear of a thousand runs at
	// the same moment.
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	send := func() bool {
		defer text.Reset()
		_ = control.SetWriteDeadline(time.Now().Add(s.Write)) // a recorder in a test has no connection
		_, err := w.Write(text.Bytes())
		return err == nil && control.Flush() == nil
	}
	fmt.Fprintf(&text, "retry: %d\n\n", retryMillis)
	if !send() {
		return
	}
	quiet := time.NewTimer(s.Heartbeat)
	defer quiet.Stop()
	for {
		f, more, err := watcher.Next(r.Context(), quiet.C)
		switch {
		case errors.Is(err, action.ErrQuiet):
			text.WriteString(": still here\n\n")
		case err != nil || !more:
			return // who is still there comes back
		default:
			text.WriteString("id: " + id + "/" + strconv.FormatInt(f.Sequence, 10) + "\ndata: ")
			if err := encoder.Encode(messageOf(id, f)); err != nil {
				return
			}
			text.WriteByte('\n') // the encoder has written the first
		}
		if !send() {
			return
		}
		quiet.Reset(s.Heartbeat)
	}
}

// Wait waits for the end of a run and answers with its last frame.
func Wait(w http.ResponseWriter, r *http.Request, id string, watcher *action.Watcher) {
	for {
		f, more, err := watcher.Next(r.Context(), nil)
		switch {
		case errors.Is(err, action.ErrClosed):
			w.Header().Set("Retry-After", "2")
			writeJSON(w, http.StatusServiceUnavailable, "application/json", message{Type: "error", RunID: id, Error: "this process is stopping; ask for the run again with Last-Event-ID"})
			return
		case err != nil || !more:
			return // the caller is gone
		case f.End == nil:
			continue
		}
		status := http.StatusOK
		if f.End.State != store.RunSucceeded {
			status = http.StatusInternalServerError
		}
		writeJSON(w, status, "application/json", messageOf(id, f))
		return
	}
}

var eventID = regexp.MustCompile(`^(run_[0-9a-z]{1,60})(?:/([0-9]{1,18}))?$`)

// ReadEventID reads the id of a frame: that of the run, and how many frames its
// caller has had. The id of a run alone stands for none.
func ReadEventID(text string) (run string, after int64, ok bool) {
	m := eventID.FindStringSubmatch(text)
	if m == nil {
		return "", 0, false
	}
	if m[2] != "" {
		after, _ = strconv.ParseInt(m[2], 10, 64) // 18 digits always fit
	}
	return m[1], after, true
}
