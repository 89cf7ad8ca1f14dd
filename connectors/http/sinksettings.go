package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpauth"
	"github.com/weirhq/weir/framework/sink"
)

// SinkSettings configure a connection of class http and type sink. Expressions
// and templates see each event as CloudEvents writes it: .id, .type, .subject,
// .time, .weirstream, .weiroperation, .data and so on.
type SinkSettings struct {
	Endpoint template `json:"endpoint" required:"true" url:"true" doc:"The URL that events are sent to, http or https, as a template of the event. Its host is fixed."`
	Method   template `json:"method" doc:"POST unless set: POST, PUT, PATCH, DELETE, GET, HEAD or OPTIONS, or a template that gives one of them. GET, HEAD and OPTIONS send no body, one event a request."`
	// DeleteMethod is the method of events that say that an entity is gone.
	DeleteMethod string   `json:"delete_method" enum:"POST,PUT,PATCH,DELETE,GET,HEAD,OPTIONS" doc:"The method for events that say that their entity is gone, such as DELETE. Without it they go as all others."`
	Headers      []Header `json:"headers" doc:"Headers, values as templates of the event; of one name in order."`

	Filter      expression `json:"filter" doc:"jq on the event: only events for which it is true are sent; all others are passed over."`
	Transform   expression `json:"transform" doc:"jq on the event: what is sent in place of its data. What is only selected keeps its bytes; no value passes the event over."`
	Format      string     `json:"format" default:"cloudevents" enum:"cloudevents,cloudevents_batched,cloudevents_binary,json,json_array,ndjson,template" doc:"How events are written. cloudevents: the event with its id, stream, sequence and operation beside the data; json, json_array, ndjson: the data alone."`
	Template    template   `json:"template" doc:"format template: the body, as a template of the event."`
	ContentType string     `json:"content_type" doc:"The Content-Type in place of the format's own."`

	Order    sink.Order `json:"order" default:"ordered" enum:"ordered,per_key,unordered" doc:"ordered: one request at a time for each stream, and a failing event holds its stream. per_key: a failing event holds the later ones of its entity. unordered: nothing waits."`
	InFlight int        `json:"in_flight" default:"8" min:"1" max:"1000" doc:"per_key, unordered: how many requests may be on their way at once."`
	Batch    SinkBatch  `json:"batch" doc:"How many events go into one request: whichever bound comes first."`

	TimeoutSeconds    float64 `json:"timeout_seconds" default:"30" min:"0.1" max:"300" doc:"How long one request may take, from dialling to the end of the answer."`
	StepTimeout       float64 `json:"step_timeout_seconds" min:"0" max:"300" doc:"How long each of connecting, the wait for a free connection and the wait for the next bytes may take; 0 for no bound of its own. The flat form calls it timeout."`
	RetryAttempts     *int    `json:"retry_attempts" doc:"How often a request that failed is tried again, after the first try: 0 to 100, 5 unless set. Not with an exception strategy."`
	Retry             Retry   `json:"retry" doc:"When a request that failed is tried again."`
	Exception         Failing `json:"exception" doc:"What a failure means, by the rules of the HTTP sink for Kafka Connect."`
	Request           Pacing  `json:"request" doc:"When a request is made."`
	DisableAfterHours float64 `json:"disable_after_hours" default:"120" min:"1" doc:"A sink that has only failed for so long is disabled."`

	Authentication httpauth.Config   `json:"authentication" doc:"How requests are authenticated."`
	SigningSecret  framework.Secrets `json:"signing_secret" doc:"Signs each request by Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature): whsec_ and base64 of at least 16 bytes. A list signs with each, while the secret is rotated. Other signatures are type hmac of authentication."`
	IdempotencyKey string            `json:"idempotency_header" default:"Idempotency-Key" doc:"The header that carries the id of the event, or one made of the ids of a batch: the same over all tries. none sends none."`

	Compression string        `json:"compression" default:"none" enum:"none,gzip,zstd" doc:"How bodies are compressed. Signatures cover what is sent."`
	Threshold   int           `json:"compression_threshold" default:"1024" min:"0" doc:"The smallest body in bytes that is compressed."`
	TLS         TLS           `json:"tls" doc:"How the receiver proves itself, and the client itself."`
	Pool        Pool          `json:"pool" doc:"How many requests are at work at a time."`
	Proxy       framework.URL `json:"proxy" doc:"A proxy for every request. Its own address is guarded as any other."`
}

// SinkBatch bounds what goes into one request.
type SinkBatch struct {
	MaxEvents int   `json:"max_events" default:"1" min:"1" max:"10000" doc:"The most events of one request."`
	TimeoutMS int64 `json:"timeout_ms" default:"1000" min:"1" max:"3600000" doc:"How long an event waits for others."`
	MaxBytes  int   `json:"max_bytes" default:"1048576" min:"1" max:"67108864" doc:"The most bytes of one request, before compression. A single event may have more."`
}

// Retry says when a request that failed is tried again.
type Retry struct {
	Backoff struct {
		Sec seconds `json:"sec" doc:"The waits before each retry in seconds, such as 5,30,60,300,600. Setting it chooses the exception strategies."`
	} `json:"backoff" doc:"The waits of the exception strategies."`
	// Flag is the path of the retry flag in the answer.
	Flag      string  `json:"flag" doc:"The path of the retry flag in the body of an answer, with dots between levels; retry unless set. It is read by the exception strategies."`
	BaseSec   float64 `json:"base_sec" default:"5" min:"0.01" max:"3600" doc:"The bound of the first wait; each further one is twice the last, and waits are spread at random below it."`
	CapSec    float64 `json:"cap_sec" default:"3600" min:"0.01" max:"86400" doc:"The longest wait."`
	MaxAgeSec float64 `json:"max_age_sec" min:"0" doc:"How long after its first try a request is tried again; 0 for no bound."`
	// WaitsSec is a list in place of waits that double.
	WaitsSec seconds `json:"waits_sec" doc:"The waits before each retry in seconds, one by one, such as 5,300,1800; each is up to a tenth longer, at random. In place of base_sec and cap_sec. As many retries as there are waits unless retry_attempts says otherwise; the last wait is repeated."`
	// Statuses are rules for single statuses.
	Statuses      statusRules `json:"statuses" doc:"What some statuses mean, in place of the standard rules: a status from 300 to 599, or 3xx, 4xx or 5xx, and one of retry, delivered (not for 3xx), dead_letter, split (finds the event at fault), stop or disable."`
	RetryAfterSec float64     `json:"max_retry_after_sec" default:"3600" min:"1" max:"86400" doc:"The longest wait that Retry-After may ask for."`
}

// Failing says what a failure means.
type Failing struct {
	Strategy sink.ExceptionStrategy `json:"strategy" enum:"PROGRESS_BACK_OFF_DROP_MESSAGE,PROGRESS_BACK_OFF_STOP_TASK,DROP_MESSAGE,STOP_TASK" doc:"Chooses the exception strategies in place of the standard rules. A dropped message becomes a dead letter."`
}

// Pacing says when a request is made.
type Pacing struct {
	Delay struct {
		Sec seconds `json:"sec" doc:"How many seconds after its time an event is sent at the earliest. Retries are not delayed by it."`
	} `json:"delay" doc:"A delay before the first try."`
}

// seconds is a setting of one or more lengths: 5, "5,30,60" or [5, 30, 60].
type seconds []time.Duration

// maxSeconds is the longest wait that can be set, a day.
const maxSeconds = 24 * 60 * 60

// UnmarshalJSON accepts a number, a text with commas, or a list of numbers.
func (s *seconds) UnmarshalJSON(b []byte) error {
	malformed := errors.New("must be seconds from 0 to 86400, one number or several with commas between, such as 5,30,60")
	var texts []string
	var text string
	var numbers []json.Number
	switch {
	case json.Unmarshal(b, &text) == nil:
		texts = strings.Split(text, ",")
	case json.Unmarshal(b, &numbers) == nil:
		for _, n := range numbers {
			texts = append(texts, n.String())
		}
	default:
		texts = []string{string(b)}
	}
	*s = nil
	for _, one := range texts {
		n, err := strconv.ParseFloat(strings.TrimSpace(one), 64)
		if err != nil || !(n >= 0 && n <= maxSeconds) {
			return malformed
		}
		*s = append(*s, time.Duration(n*float64(time.Second)))
	}
	if len(*s) == 0 {
		return malformed
	}
	return nil
}

// SettingType says how the lengths are written.
func (seconds) SettingType() string { return "text" }

// statusRules are what statuses mean: "404" or "4xx", and a word.
type statusRules map[string]string

// statusWords are the words of the rules.
var statusWords = map[string]sink.Verdict{
	"retry": sink.Retry, "delivered": sink.Delivered, "dead_letter": sink.GiveUp, "split": sink.Split, "stop": sink.Stop, "disable": sink.Disable,
}

// verdicts are the rules status by status, or what is wrong with one. A rule for a
// single status wins over that of its class.
func (r statusRules) verdicts() (map[int]sink.Verdict, error) {
	verdicts := map[int]sink.Verdict{}
	single := map[int]sink.Verdict{}
	for _, status := range slices.Sorted(maps.Keys(r)) {
		verdict, known := statusWords[r[status]]
		if !known {
			return nil, fmt.Errorf("says %q for %s; it must be one of %s", r[status], status, strings.Join(slices.Sorted(maps.Keys(statusWords)), ", "))
		}
		class, isClass := strings.CutSuffix(status, "xx")
		n, err := strconv.Atoi(class)
		if isClass {
			n *= 100
		}
		switch {
		case err != nil || len(status) != 3 || n < 300 || n > 599:
			return nil, fmt.Errorf("names %q; it must be a status from 300 to 599, or 3xx, 4xx or 5xx", status)
		case n < 400 && verdict == sink.Delivered:
			return nil, fmt.Errorf("says delivered for %s; a redirect is not followed, so nobody has taken the event", status)
		case !isClass:
			single[n] = verdict
			continue
		}
		for i := range 100 {
			verdicts[n+i] = verdict
		}
	}
	maps.Copy(verdicts, single)
	return verdicts, nil
}
