package catalog

import "time"

// Mode says how a stream's records reach Weir.
type Mode string

const (
	// ModePoll streams are read from the provider on a schedule.
	ModePoll Mode = "poll"
	// ModeWebhook streams are fed by the provider's webhook deliveries alone.
	ModeWebhook Mode = "webhook"
)

// Stream is a declared stream of either mode. Only [Poll] and [Webhook] make one.
type Stream interface {
	// Key is the stream's name within its connector, for example "customers".
	Key() string
	// Declaration returns everything that was declared about the stream.
	Declaration() Declaration
	sealed()
}

// Of is a stream whose records are of type T. It lets the compiler refuse a
// record that is emitted to a stream of another type.
type Of[T any] interface {
	Stream
	record(T)
}

// Declaration is what was declared about a stream, without its Go types.
type Declaration struct {
	// Key names the stream within its connector: ^[a-z][a-z0-9_]{0,62}$.
	Key string
	// Mode is how its records arrive.
	Mode Mode
	// RenamedFrom is the key that it had before, or "".
	RenamedFrom string
	// FormerKeys are the keys that it had before RenamedFrom, the last one first.
	FormerKeys []string
	// Poll holds the poll stream's settings, and is zero for a webhook stream.
	Poll PollSpec
}

// PollSpec says when and how a poll stream is read.
type PollSpec struct {
	// Schedule is a five-field cron expression or a descriptor such as
	// "@hourly" or "@every 5m", with an optional "TZ=Europe/Berlin " in front.
	// Without a zone it is in UTC. Required.
	Schedule string
	// CursorVersion is raised by the author when the meaning of the cursor
	// changes. A checkpoint of another version is not read.
	CursorVersion int
	// Window asks for a half-open time window [From, To) on every live run:
	// From is the To of the last complete run less Lookback.
	Window bool
	// Lookback is how far a live window reaches back into the last one, for
	// providers whose records appear late. It is used only with Window.
	Lookback time.Duration
	// Backfill says that the sync route honours From and To, so that an
	// operator may ask for a past range.
	Backfill bool
	// RenamedFrom is the key this stream had before. When a connection starts, the
	// stored stream gets the new key, and keeps its checkpoint, events and runs.
	RenamedFrom string
	// FormerKeys are the keys that this stream had before RenamedFrom, the last one
	// first. A store that no version with RenamedFrom has opened still has the
	// stream under one of them, and it is renamed from that.
	FormerKeys []string
}

// WebhookSpec is what may be said of a webhook stream beside its key.
type WebhookSpec struct {
	// RenamedFrom is the key this stream had before, see [PollSpec].
	RenamedFrom string
	// FormerKeys are the keys that it had before that, see [PollSpec].
	FormerKeys []string
}

// PollStream is a declared poll stream of records T with the cursor type C.
type PollStream[T, C any] struct{ declaration *Declaration }

// WebhookStream is a declared webhook stream of records T.
type WebhookStream[T any] struct{ declaration *Declaration }

// Poll declares a stream that is read from the provider on spec.Schedule. T is
// the type of its records and C the type of its cursor, which must survive a
// round trip through JSON. Call it only in a package-level variable, with a
// constant key.
func Poll[T, C any](key string, spec PollSpec) PollStream[T, C] {
	return PollStream[T, C]{&Declaration{Key: key, Mode: ModePoll, RenamedFrom: spec.RenamedFrom, FormerKeys: spec.FormerKeys, Poll: spec}}
}

// Webhook declares a stream that is fed only by webhook deliveries. T is the
// type of its records. Call it only in a package-level variable, with a
// constant key and at most one spec.
func Webhook[T any](key string, spec ...WebhookSpec) WebhookStream[T] {
	d := &Declaration{Key: key, Mode: ModeWebhook}
	for _, s := range spec {
		d.RenamedFrom, d.FormerKeys = s.RenamedFrom, s.FormerKeys
	}
	return WebhookStream[T]{d}
}

// Key returns the stream's key, or "" for a stream that [Poll] did not make.
func (s PollStream[T, C]) Key() string { return s.Declaration().Key }

// Declaration returns what was declared.
func (s PollStream[T, C]) Declaration() Declaration { return declared(s.declaration) }

func (PollStream[T, C]) sealed()  {}
func (PollStream[T, C]) record(T) {}

// Key returns the stream's key, or "" for a stream that [Webhook] did not make.
func (s WebhookStream[T]) Key() string { return s.Declaration().Key }

// Declaration returns what was declared.
func (s WebhookStream[T]) Declaration() Declaration { return declared(s.declaration) }

func (WebhookStream[T]) sealed()  {}
func (WebhookStream[T]) record(T) {}

// declared tolerates the zero stream, so that a mistake becomes a finding of
// Validate and not a nil dereference while the program starts.
func declared(d *Declaration) Declaration {
	if d == nil {
		return Declaration{}
	}
	return *d
}

var (
	_ Of[int] = PollStream[int, string]{}
	_ Of[int] = WebhookStream[int]{}
)
