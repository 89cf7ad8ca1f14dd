package sink

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/internal/retryafter"
)

// Standard is the policy of a sink that names no exception strategy. 2xx is
// success and nothing else. 410 disables the sink. 400, 413, 415 and 422 blame
// the events: a batch is split until the one at fault is alone and given up.
// Everything else is tried again after a wait that doubles, with full jitter,
// until MaxAttempts or MaxAge is reached. Statuses says otherwise for some. Retry-After is obeyed up to a cap. A
// redirect is never followed and counts as a failure.
type Standard struct {
	// MaxAttempts bounds the attempts, the first included. Default 6.
	MaxAttempts int
	// MaxAge bounds the time since the first attempt; 0 means no bound.
	MaxAge time.Duration
	// Base and Cap bound the wait. Defaults 5 s and 1 h. Waits, if given, are the
	// waits one by one; the last is repeated.
	Base, Cap time.Duration
	Waits     []time.Duration
	// MaxRetryAfter caps what Retry-After may ask for. Default 1 h.
	MaxRetryAfter time.Duration
	// Statuses are the verdicts of some statuses in place of those above. A status
	// that is not 2xx is Delivered only with a whole answer.
	Statuses map[int]Verdict
	// Random is uniform in [0, 1). The default is that of math/rand/v2.
	Random func() float64
}

// rejected are answers that blame the events.
var rejected = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}

// Decide says what to do.
func (p Standard) Decide(a Attempt) Decision {
	p.MaxAttempts = cmp.Or(p.MaxAttempts, 6)
	p.Base = cmp.Or(p.Base, 5*time.Second)
	p.Cap = cmp.Or(p.Cap, time.Hour)
	p.MaxRetryAfter = cmp.Or(p.MaxRetryAfter, time.Hour)
	if good(a.Answer) {
		return Decision{Verdict: Delivered}
	}
	reason := describe(a.Answer)
	verdict, ruled := p.Statuses[a.Status]
	switch {
	case ruled && verdict == Delivered && a.Err == nil:
		return Decision{Verdict: Delivered}
	case ruled && verdict != Retry && verdict != Delivered:
		return Decision{Verdict: verdict, Reason: reason + ", which ends it by the rule for this status", Endpoint: verdict == Stop || verdict == Disable}
	case !ruled && a.Status == http.StatusGone:
		return Decision{Verdict: Disable, Reason: reason + ": the receiver wants nothing any more"}
	case !ruled && slices.Contains(rejected, a.Status):
		return Decision{Verdict: Split, Reason: reason}
	case a.Number >= p.MaxAttempts:
		return Decision{Verdict: GiveUp, Reason: fmt.Sprintf("%s, after %s", reason, attempts(a.Number)), Endpoint: true}
	case p.MaxAge > 0 && a.Now.Sub(a.First) >= p.MaxAge:
		return Decision{Verdict: GiveUp, Reason: fmt.Sprintf("%s, after %s", reason, a.Now.Sub(a.First).Round(time.Second)), Endpoint: true}
	}
	return Decision{Verdict: Retry, After: p.wait(a), Reason: reason, Endpoint: true}
}

func (p Standard) wait(a Attempt) time.Duration {
	if p.Random == nil {
		p.Random = rand.Float64
	}
	after := time.Duration(0)
	if len(p.Waits) > 0 {
		// The list is the author's; a little more spreads what failed together.
		listed := p.Waits[min(a.Number, len(p.Waits))-1]
		after = listed + time.Duration(p.Random()*float64(listed)/10)
	} else {
		// Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
		after = time.Duration(p.Random() * float64(min(p.Cap, p.Base<<min(a.Number-1, 30))))
	}
	return max(after, retryafter.UpTo(a.Header.Get("Retry-After"), a.Now, p.MaxRetryAfter))
}

// good reports whether an answer is one of success.
func good(a Answer) bool { return a.Err == nil && a.Status >= 200 && a.Status <= 299 }

// describe says what came back, for people.
func describe(a Answer) string {
	if a.Err != nil {
		return a.Err.Error()
	}
	if a.Status >= 300 && a.Status <= 399 {
		return fmt.Sprintf("%d %s: redirects are not followed", a.Status, http.StatusText(a.Status))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)))
}

// ExceptionStrategy names what the HTTP sink for Kafka Connect does when a
// callback fails.
type ExceptionStrategy string

// Exception strategies, by the names and with the meaning of that connector.
const (
	// ProgressBackOffDropMessage retries by the list of waits, then drops.
	ProgressBackOffDropMessage ExceptionStrategy = "PROGRESS_BACK_OFF_DROP_MESSAGE"
	// ProgressBackOffStopTask retries by the list of waits, then stops.
	ProgressBackOffStopTask ExceptionStrategy = "PROGRESS_BACK_OFF_STOP_TASK"
	// DropMessage drops at once.
	DropMessage ExceptionStrategy = "DROP_MESSAGE"
	// StopTask stops at once.
	StopTask ExceptionStrategy = "STOP_TASK"
)

// ExceptionStrategies lists them, the default first.
func ExceptionStrategies() []ExceptionStrategy {
	return []ExceptionStrategy{ProgressBackOffDropMessage, ProgressBackOffStopTask, DropMessage, StopTask}
}

// DefaultBackoff are the waits of the strategies.
func DefaultBackoff() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
}

// Strategy is the policy of the HTTP sink for Kafka Connect. An answer is a
// failure when it is not 2xx, or when its body has the retry flag set to true. A
// failure whose flag is false is dropped without another try. No flag, and no
// answer, count as true. Statuses that say that the receiver cannot take anything
// (401, 403, 405, 406, 502, 503, 504), without a flag, back off and then stop,
// whatever the strategy. A dropped message becomes a dead letter.
type Strategy struct {
	// Strategy is ProgressBackOffDropMessage unless chosen.
	Strategy ExceptionStrategy
	// Backoff are the waits before each retry. Default [DefaultBackoff].
	Backoff []time.Duration
	// RetryFlag is the path of the flag in the answer's body, with dots between
	// levels. Default "retry".
	RetryFlag string
}

// stopping are statuses that stop a sink in the end.
var stopping = []int{
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
}

// Decide says what to do.
func (p Strategy) Decide(a Attempt) Decision {
	p.Strategy = cmp.Or(p.Strategy, ProgressBackOffDropMessage)
	p.RetryFlag = cmp.Or(p.RetryFlag, "retry")
	if p.Backoff == nil {
		p.Backoff = DefaultBackoff()
	}
	flag, given := false, false
	if a.Err == nil {
		flag, given = retryFlag(a.Body, p.RetryFlag)
	}
	if good(a.Answer) && !flag {
		return Decision{Verdict: Delivered}
	}
	reason := describe(a.Answer)
	switch {
	case good(a.Answer):
		reason += " with the retry flag"
	case given && !flag:
		return Decision{Verdict: GiveUp, Reason: reason + ", and the answer asks for no retry"}
	}
	backsOff := p.Strategy == ProgressBackOffDropMessage || p.Strategy == ProgressBackOffStopTask
	stops := p.Strategy == ProgressBackOffStopTask || p.Strategy == StopTask
	if !given && slices.Contains(stopping, a.Status) {
		backsOff, stops = true, true
	}
	if backsOff && a.Number <= len(p.Backoff) {
		return Decision{Verdict: Retry, After: p.Backoff[a.Number-1], Reason: reason, Endpoint: true}
	}
	reason = fmt.Sprintf("%s, after %s", reason, attempts(a.Number))
	if stops {
		return Decision{Verdict: Stop, Reason: reason, Endpoint: true}
	}
	return Decision{Verdict: GiveUp, Reason: reason, Endpoint: true}
}

// retryFlag reads the flag at path: true, "true", and their opposites.
func retryFlag(body []byte, path string) (flag, given bool) {
	var at any
	if len(body) == 0 || json.Unmarshal(body, &at) != nil {
		return false, false
	}
	for part := range strings.SplitSeq(path, ".") {
		members, ok := at.(map[string]any)
		if !ok {
			return false, false
		}
		at = members[part]
	}
	switch v := at.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// attempts writes a number of attempts.
func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
