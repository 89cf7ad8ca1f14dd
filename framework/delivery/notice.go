package delivery

import "time"

// Happening is what an operator should hear of.
type Happening string

// Happenings of a sink.
const (
	// SinkFailed says that a sink stopped by itself; its offset stays on the event.
	SinkFailed Happening = "sink.failed"
	// SinkDisabled says that the receiver wants nothing any more, or that nothing
	// but failures came back for too long.
	SinkDisabled Happening = "sink.disabled"
	// DataLost says that retention removed events before they were delivered.
	DataLost Happening = "sink.data_lost"
	// BreakerOpened says that the endpoint fails, and is asked by one probe at a time.
	BreakerOpened Happening = "sink.breaker_opened"
	// SinkRecovered says that the endpoint answers well again, or that the sink was
	// started again.
	SinkRecovered Happening = "sink.recovered"
)

// Notice is one of them.
type Notice struct {
	Identity
	Happening Happening
	Reason    string
	At        time.Time
}

// notify tells of something that has happened to the sink.
func (s *runner) notify(what Happening, reason string) {
	s.engine.config.Notice(Notice{s.Identity, what, reason, time.Now().UTC()})
}

// open counts a failure of the endpoint, and says so when the breaker opens.
func (s *runner) open(now time.Time, reason string) {
	was := s.breaker.until.IsZero()
	s.breaker.failed(now)
	if s.breaker.until.IsZero() {
		return
	}
	s.keep(stateBreaker, savedBreaker{s.breaker.failures, s.breaker.until, s.breaker.wait})
	if was {
		s.notify(BreakerOpened, reason)
	}
}

// shut closes the breaker.
func (s *runner) shut() {
	if !s.breaker.until.IsZero() {
		s.keep(stateBreaker, nil)
		s.notify(SinkRecovered, "the endpoint answers again")
	}
	s.breaker.succeeded()
}

// savedBreaker is a breaker in the store.
type savedBreaker struct {
	Failures int           `json:"failures"`
	Until    time.Time     `json:"until"`
	Wait     time.Duration `json:"wait"`
}

// restored is the breaker that a process before had opened: its wait goes on,
// and is never longer than it was, whatever the clock says.
func (b savedBreaker) restored(now time.Time) breaker {
	until := b.Until
	if latest := now.Add(min(b.Wait, breakerCap)); until.After(latest) {
		until = latest
	}
	return breaker{failures: b.Failures, until: until, wait: b.Wait}
}
