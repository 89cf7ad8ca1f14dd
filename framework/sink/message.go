package sink

import (
	"context"
	"net/http"
	"time"

	"github.com/weirhq/weir/ingest"
)

// Sender is what a sink sends with. Its methods are called concurrently.
type Sender interface {
	// Prepare turns an event into a message. A nil message without an error says
	// that the sink does not want the event. An error gives the event up: the
	// same event would fail again. It does no IO.
	Prepare(ctx context.Context, e *ingest.Event) (*Message, error)
	// Send makes one attempt at delivering a batch, of which all messages have
	// the same Group. It returns soon after ctx has ended.
	Send(ctx context.Context, batch []*Message) Answer
}

// Message is an event that is ready to be sent.
type Message struct {
	Event *ingest.Event
	// Body is what is sent of it.
	Body []byte
	// Group names what messages of one batch must share, such as method and URL.
	Group string
	// Made is whatever else Prepare has made of the event for Send.
	Made any
}

// Answer is what came back of an attempt.
type Answer struct {
	// Status is the HTTP status, 0 when there was no answer. A sender that is no
	// HTTP client says 200 or 0.
	Status int
	Header http.Header
	// Body is the beginning of the answer's body.
	Body []byte
	// Err says why there was no answer, without secrets.
	Err error
	// Request describes the head of what was sent, without secrets, for people. Of
	// its body the message's own part is shown beside it.
	Request []byte
}

// Attempt is one answer with what is known of the attempts before it.
type Attempt struct {
	Answer
	// Number counts the attempts, from 1.
	Number int
	// First is when the first of them began, Now when this one ended.
	First, Now time.Time
	// Events is how many events the batch has.
	Events int
}

// Verdict says what to do after an attempt.
type Verdict int

const (
	// Delivered ends it well.
	Delivered Verdict = iota
	// Retry tries the same again after Decision.After.
	Retry
	// Split tries each half of the batch by itself, at once: one event in it is
	// at fault. A batch of one is given up.
	Split
	// GiveUp makes dead letters.
	GiveUp
	// Stop leaves the events where they are and ends the sink with an error.
	Stop
	// Disable is Stop for good: the receiver wants nothing any more.
	Disable
)

// String is the verdict's word: "delivered", "retry", "split", "give_up", "stop"
// or "disable".
func (v Verdict) String() string {
	words := [...]string{"delivered", "retry", "split", "give_up", "stop", "disable"}
	if v < 0 || int(v) >= len(words) {
		return "unknown"
	}
	return words[v]
}

// Decision is what a [Policy] says.
type Decision struct {
	Verdict Verdict
	// After is how long to wait before a Retry.
	After time.Duration
	// Reason says why it was not delivered, for people.
	Reason string
	// Endpoint says that the failure is the receiver's rather than the event's,
	// which counts for the breaker.
	Endpoint bool
}

// Policy decides what the answer to an attempt means. It is called concurrently.
type Policy interface {
	// Decide judges one attempt.
	Decide(a Attempt) Decision
}
