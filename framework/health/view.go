package health

import (
	"encoding/json"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework/store"
)

// Hours is how many hourly counts a [View] carries.
const Hours = 24

// View is what is shown of one stream of one connection. Its JSON is part of
// API v1: fields are added, never changed.
type View struct {
	// Project and Connection are names; ConnectionID stays when they change.
	Project      string `json:"project"`
	Connection   string `json:"connection"`
	ConnectionID string `json:"connection_id"`
	Connector    string `json:"connector"`
	// Stream is the stream's key.
	Stream string       `json:"stream"`
	Mode   catalog.Mode `json:"mode"`
	// Schedule is as the author wrote it, and Cadence in words. Both are null
	// for a webhook stream.
	Schedule *string `json:"schedule"`
	Cadence  *string `json:"cadence"`
	// Description is the doc comment of the stream's declaration, or "".
	Description string `json:"description"`
	State       State  `json:"state"`
	// LastSuccessAt is when a run last succeeded or a delivery was last
	// recorded. NextRunAt is null for a webhook stream, and while the stream is
	// paused or its connection disabled.
	LastSuccessAt *Time `json:"last_success_at"`
	NextRunAt     *Time `json:"next_run_at"`
	// LastError is the last failure since the last success.
	LastError           *string `json:"last_error"`
	ConsecutiveFailures int     `json:"consecutive_failures"`
	// EventsTotal counts the events ever recorded, DuplicatesTotal those that
	// were emitted again and not recorded.
	EventsTotal     int64 `json:"events_total"`
	DuplicatesTotal int64 `json:"duplicates_total"`
	// Cursor is the saved cursor as the connector encoded it. It is null for a
	// webhook stream and before the first page.
	Cursor json.RawMessage `json:"cursor"`
	// Events24h is the sum of Hourly: the events of the current hour and of the
	// 23 hours before it, oldest first.
	Events24h int64   `json:"events_24h"`
	Hourly    []int64 `json:"hourly"`
	// Alarms say what is wrong with the stream's data; mostly there are none.
	Alarms []Alarm `json:"alarms"`
}

// Time is a time that JSON shows in UTC with microseconds.
type Time struct{ time.Time }

// timeFormat is RFC 3339 in UTC with microseconds.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// TimeOrNil returns t for JSON, or nil for the zero time.
func TimeOrNil(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// String returns the time as JSON shows it, without quotes.
func (t Time) String() string { return t.UTC().Format(timeFormat) }

// MarshalJSON encodes t in UTC with microseconds.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.String())
}

// Input is what a [View] is made of.
type Input struct {
	Connection store.Connection
	Stream     catalog.StreamManifest
	Status     store.StreamStatus
	// Cursor is the saved cursor, nil for none.
	Cursor []byte
	// Counts are the hourly counts of this stream; those outside the last
	// [Hours] are left out.
	Counts  []store.HourlyCount
	Running bool
	// Alarm is the alarm that the scheduler keeps, nil for none.
	Alarm *store.Alarm
	Now   time.Time
}

// NewView makes the view of a stream.
func NewView(in Input) View {
	v := View{
		Project: in.Connection.Project, Connection: in.Connection.Name, ConnectionID: in.Connection.ID,
		Connector: in.Connection.Connector, Stream: in.Stream.Key, Mode: in.Stream.Mode,
		Description:   in.Stream.Description,
		LastSuccessAt: TimeOrNil(in.Status.LastSuccessAt), LastError: textOrNil(in.Status.LastError),
		ConsecutiveFailures: in.Status.ConsecutiveFailures,
		EventsTotal:         in.Status.Head, DuplicatesTotal: in.Status.Duplicates,
		Hourly: make([]int64, Hours),
	}
	facts := Facts{Mode: in.Stream.Mode, Status: in.Status, Running: in.Running, Enabled: in.Connection.Enabled, Now: in.Now}
	if in.Stream.Mode == catalog.ModePoll {
		v.Schedule = &in.Stream.Schedule
		// A schedule that cannot be read is refused at the start; here it is
		// shown as it stands and makes nothing late.
		if s, err := schedule.Parse(in.Stream.Schedule); err == nil {
			facts.Schedule = s
			words := s.Words()
			v.Cadence = &words
		}
		v.Cursor = rawCursor(in.Cursor)
	}
	v.State = Of(facts)
	v.Alarms = alarms(facts, v.State, in.Alarm)
	// A due time that nobody waits for is no news.
	if in.Stream.Mode == catalog.ModePoll && v.State != Paused && v.State != Disabled {
		v.NextRunAt = TimeOrNil(in.Status.NextRunAt)
	}
	hour := in.Now.UTC().Truncate(time.Hour)
	for _, c := range in.Counts {
		ago := int(hour.Sub(c.Hour.UTC().Truncate(time.Hour)) / time.Hour)
		if ago >= 0 && ago < Hours {
			v.Hourly[Hours-1-ago] += c.Events
			v.Events24h += c.Events
		}
	}
	return v
}

// rawCursor keeps an answer valid when a saved cursor is not: what cannot be
// shown as JSON is shown as text.
func rawCursor(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	if json.Valid(b) {
		return b
	}
	text, err := json.Marshal(string(b))
	if err != nil {
		return nil
	}
	return text
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
