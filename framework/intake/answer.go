package intake

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/webhook"
)

// answer is what a sender gets. Apart from the ids of an accepted delivery it
// is one fixed text a status: it must tell nobody why a signature was refused.
type answer struct {
	status  int
	verdict Verdict
	body    answerBody
	// header holds one header beside those of every answer.
	header, value string
	// close ends the connection: the body was not read to its end.
	close bool
	// bytes and events are for the observation.
	bytes, events int
	// reply is the answer to a handshake, instead of body.
	reply *webhook.Reply
	// why is for the sampled log of refused requests, and for operators.
	why string
	// attempt counts the calls of the handler.
	attempt int
}

type answerBody struct {
	Status   string `json:"status,omitempty"`
	Delivery string `json:"delivery,omitempty"`
	Events   *int   `json:"events,omitempty"`
	First    string `json:"first,omitempty"`
	Error    string `json:"error,omitempty"`
}

// retryAfter is what a 503 asks for, in seconds.
const retryAfter = "5"

func notFound() answer {
	return answer{status: http.StatusNotFound, body: answerBody{Error: "not found"}, close: true}
}

func methodNotAllowed(allow string) answer {
	return answer{
		status: http.StatusMethodNotAllowed, verdict: Refused, body: answerBody{Error: "use POST"},
		header: "Allow", value: allow, close: true, why: "method is not one of the endpoint's",
	}
}

func encodingRefused() answer {
	return answer{
		status: http.StatusUnsupportedMediaType, verdict: Refused, body: answerBody{Error: "send the body without Content-Encoding"},
		header: "Accept-Encoding", value: "identity", close: true, why: "body has a content encoding",
	}
}

func typeRefused(types []string) answer {
	return answer{
		status: http.StatusUnsupportedMediaType, verdict: Refused, body: answerBody{Error: "send the body as one of the types that Accept names"},
		header: "Accept", value: strings.Join(types, ", "), close: true, why: "body has another content type",
	}
}

// limited asks for patience: whole seconds, at least one.
func limited(wait time.Duration) answer {
	return answer{
		status: http.StatusTooManyRequests, verdict: Limited, body: answerBody{Error: "too many deliveries; send it again later"},
		header: "Retry-After", value: strconv.FormatInt(int64(max(math.Ceil(wait.Seconds()), 1)), 10), why: "deliveries come faster than the endpoint's rate_limit",
	}
}

func tooLarge(read int) answer {
	return answer{
		status: http.StatusRequestEntityTooLarge, verdict: TooLarge, body: answerBody{Error: "body is too large"},
		close: true, bytes: read, why: "body is too large",
	}
}

func bodyTimeout(read int) answer {
	return answer{
		status: http.StatusRequestTimeout, verdict: Refused, body: answerBody{Error: "body came too slowly"},
		close: true, bytes: read, why: "body came too slowly",
	}
}

func bodyBroken(read int) answer {
	return answer{
		status: http.StatusBadRequest, verdict: Refused, body: answerBody{Error: "body is malformed or ended early"},
		close: true, bytes: read, why: "body is malformed or ended early",
	}
}

// unverified is the same for every reason; challenge depends on the endpoint only.
func unverified(challenge, why string) answer {
	a := answer{status: http.StatusUnauthorized, verdict: Unverified, body: answerBody{Error: "delivery is not verified"}, why: why}
	if challenge != "" {
		a.header, a.value = "Www-Authenticate", challenge
	}
	return a
}

func busy(why string) answer {
	return answer{
		status: http.StatusServiceUnavailable, verdict: Busy, body: answerBody{Error: "busy; send it again"},
		header: "Retry-After", value: retryAfter, why: why,
	}
}

// full refuses what cannot be handled now and has no place to wait.
func full() answer {
	a := busy("too many deliveries of the connection wait or were given up")
	a.value = "60"
	return a
}

func unavailable() answer {
	return answer{
		status: http.StatusServiceUnavailable, verdict: Failed, body: answerBody{Error: "cannot be stored now; send it again"},
		header: "Retry-After", value: retryAfter, why: "the store did not take it",
	}
}

func accepted(delivery string, events int) answer {
	return answer{status: http.StatusOK, verdict: Accepted, body: answerBody{Status: "accepted", Delivery: delivery, Events: &events}, events: events}
}

func duplicate(first string) answer {
	return answer{status: http.StatusOK, verdict: Duplicate, body: answerBody{Status: "duplicate", First: first}}
}

// stored is the answer for dead letters too: what the handler made of the
// delivery is not the sender's concern.
func stored(delivery string, verdict Verdict) answer {
	return answer{status: http.StatusOK, verdict: verdict, body: answerBody{Status: "stored", Delivery: delivery}}
}

// unreadWait is how long the rest of a body that nobody wants may take to come:
// net/http reads some of it, so that the sender sees the answer.
const unreadWait = 5 * time.Second

// Values of the headers of every answer.
var asJSON, asNow, asSaid = []string{"application/json"}, []string{"no-store"}, []string{"nosniff"}

func (a answer) write(w http.ResponseWriter, r *http.Request) {
	if a.close {
		// A test's recorder has no connection.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadWait))
	}
	h := w.Header()
	// The values are shared: nobody changes them in place.
	h["Content-Type"], h["Cache-Control"], h["X-Content-Type-Options"] = asJSON, asNow, asSaid
	if a.header != "" {
		h.Set(a.header, a.value)
	}
	if a.close && r.ProtoMajor == 1 && r.ContentLength != 0 {
		// Without it the server would read on to use the connection again.
		h.Set("Connection", "close")
	}
	if a.reply != nil {
		writeReply(w, a.reply)
		return
	}
	w.WriteHeader(a.status)
	text, err := json.Marshal(a.body)
	if err != nil {
		return // strings and a number always encode
	}
	// The sender may be gone; what happened to the delivery is decided.
	_, _ = w.Write(append(text, '\n'))
}
