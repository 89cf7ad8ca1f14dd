package groupcommit

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Limits of one unit. What a provider or handler may be long-winded in (errors,
// stacks) is cut; everything else over a limit is refused.
const (
	// MaxCursorBytes bounds an encoded cursor.
	MaxCursorBytes = 64 << 10
	// MaxErrorBytes and MaxStackBytes bound the texts kept of a failure.
	MaxErrorBytes = 8 << 10
	MaxStackBytes = 64 << 10
	// MaxNameBytes bounds ids, stream keys, endpoints and other names.
	MaxNameBytes = 512
	// MaxDeliveryKeyBytes bounds the key of a delivery.
	MaxDeliveryKeyBytes = 4 << 10
	// MaxHeaderBytes and MaxBodyBytes bound a stored delivery.
	MaxHeaderBytes = 1 << 20
	MaxBodyBytes   = 25 << 20
)

// faults collects everything that is wrong with a unit.
type faults struct{ list []string }

func (f *faults) addf(format string, a ...any) {
	// A page of ten thousand bad events needs no ten thousand lines.
	if len(f.list) < 20 {
		f.list = append(f.list, fmt.Sprintf(format, a...))
	}
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", store.ErrInvalid, strings.Join(f.list, "; "))
}

func (f *faults) name(what, s string) {
	switch {
	case s == "":
		f.addf("%s is empty", what)
	case len(s) > MaxNameBytes:
		f.addf("%s has %d bytes; the limit is %d", what, len(s), MaxNameBytes)
	case !validText(s):
		f.addf("%s %q is not valid UTF-8, or holds a NUL byte", what, s)
	}
}

func (f *faults) optionalName(what, s string) {
	if s != "" {
		f.name(what, s)
	}
}

func (f *faults) size(what string, n, limit int) {
	if n > limit {
		f.addf("%s has %d bytes; the limit is %d", what, n, limit)
	}
}

// time refuses times that RFC 3339 cannot write.
func (f *faults) time(what string, t time.Time) {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		f.addf("%s is in the year %d; years 1 to 9999 can be written", what, y)
	}
}

// check says everything that is wrong with u.
func check(u *store.Unit) error {
	var f faults
	f.name("unit id", u.ID)
	f.name("connection id", u.ConnectionID)
	if u.At.IsZero() {
		f.addf("unit has no time")
	}
	f.time("time of the unit", u.At)
	f.time("observation time of the unit", u.ObservedAt)
	checkEmissions(&f, u.Emissions, limitsOf(u))
	if c := u.Checkpoint; c != nil {
		f.name("stream of the checkpoint", c.Stream)
		f.name("lane of the checkpoint", c.Lane)
		f.optionalName("previous commit id of the checkpoint", c.Previous)
		f.optionalName("digest of the checkpoint's cursor", c.CursorDigest)
		f.optionalName("run of the checkpoint", c.RunID)
		f.size("cursor", len(c.Cursor), MaxCursorBytes)
		f.time("start of the checkpoint's window", c.From)
		f.time("end of the checkpoint's window", c.To)
		f.time("end of the checkpoint's last window", c.WindowDone)
	}
	if w := u.Run; w != nil {
		checkRun(&f, u, w)
	}
	for i := range u.Streams {
		f.name("stream of a status", u.Streams[i].Stream)
		if next := u.Streams[i].NextRunAt; next != nil {
			f.time("next run", *next)
		}
		f.time("time of a success", u.Streams[i].At)
	}
	if r := u.Reserve; r != nil {
		f.name("endpoint of the delivery", r.Endpoint)
		f.name("id of the delivery", r.DeliveryID)
		f.size("key of the delivery", len(r.Key), MaxDeliveryKeyBytes)
		if r.Key == "" {
			f.addf("key of the delivery is empty")
		}
	}
	if k := u.Keep; k != nil {
		f.name("id of the stored delivery", k.ID)
		f.name("endpoint of the stored delivery", k.Endpoint)
		f.size("key of the stored delivery", len(k.Key), MaxDeliveryKeyBytes)
		f.size("header of the stored delivery", len(k.Header), MaxHeaderBytes)
		f.size("body of the stored delivery", len(k.Body), MaxBodyBytes)
		f.time("receipt of the stored delivery", k.ReceivedAt)
		f.time("next attempt of the stored delivery", k.NextAttemptAt)
		f.time("beginning of the stored delivery's wait", k.WrittenAt)
		f.time("expiry of the stored delivery", k.ExpiresAt)
		if k.Dead && k.Kept {
			f.addf("stored delivery is both given up and handled")
		}
		if !validText(k.Key) {
			f.addf("key of the stored delivery is not valid UTF-8, or holds a NUL byte")
		}
		if k.ConnectionID != "" && k.ConnectionID != u.ConnectionID {
			f.addf("stored delivery belongs to connection %q, the unit to %q", k.ConnectionID, u.ConnectionID)
		}
	}
	f.optionalName("settled delivery", u.Settle)
	checkState(&f, u)
	checkSink(&f, u.Sink)
	return f.err()
}

func checkRun(f *faults, u *store.Unit, w *store.RunWrite) {
	f.name("id of the run", w.Run.ID)
	f.name("stream of the run", w.Run.Stream)
	f.optionalName("trigger of the run", w.Run.Trigger)
	f.optionalName("error class of the run", w.Run.ErrorClass)
	f.time("start of the run", w.Run.StartedAt)
	f.time("end of the run", w.Run.FinishedAt)
	if w.Run.ConnectionID != "" && w.Run.ConnectionID != u.ConnectionID {
		f.addf("run belongs to connection %q, the unit to %q", w.Run.ConnectionID, u.ConnectionID)
	}
	switch w.Run.State {
	case store.RunRunning, store.RunSucceeded, store.RunFailed, store.RunCanceled, store.RunInterrupted:
	default:
		f.addf("state %q of the run is unknown", w.Run.State)
	}
}

// limitsOf tells a delivery, which may have larger events, from a page.
func limitsOf(u *store.Unit) ingest.Limits {
	if delivery := u.Reserve != nil || u.Settle != "" || u.Keep != nil; delivery && u.Checkpoint == nil && u.Run == nil {
		return ingest.DeliveryLimits()
	}
	return ingest.PageLimits()
}

func checkEmissions(f *faults, emissions []ingest.Emission, limits ingest.Limits) {
	if len(emissions) > limits.Events {
		f.addf("unit has %d events; the limit is %d", len(emissions), limits.Events)
	}
	total := 0
	for i := range emissions {
		e := &emissions[i]
		total += len(e.Payload)
		if usual(e, limits.EventBytes) {
			continue
		}
		what := fmt.Sprintf("event %d", i+1)
		f.name(what+": stream", e.Stream)
		f.name(what+": type", e.Type)
		if e.Key.Subject() == "" {
			f.addf("%s: %s", what, ingest.ErrNoKey)
		}
		if e.Operation != ingest.Upsert && e.Operation != ingest.Deletion {
			f.addf("%s: operation %q is unknown", what, e.Operation)
		}
		f.size(what+": payload", len(e.Payload), limits.EventBytes)
		f.time(what+": time", e.Time)
	}
	f.size("payload of the unit", total, limits.Bytes)
}

// usual reports that nothing is wrong with e, without making a text.
func usual(e *ingest.Emission, maxPayload int) bool {
	year := e.Time.UTC().Year()
	return usualName(e.Stream) && usualName(e.Type) && e.Key.Subject() != "" &&
		(e.Operation == ingest.Upsert || e.Operation == ingest.Deletion) &&
		len(e.Payload) <= maxPayload && year >= 1 && year <= 9999
}

func usualName(s string) bool { return s != "" && len(s) <= MaxNameBytes && validText(s) }

func validText(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// cut makes s storable: valid UTF-8 without NUL, at most limit bytes.
func cut(s string, limit int) string {
	if len(s) <= limit && validText(s) {
		return s
	}
	const more = "… (cut)"
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len(more)], "") + more
}
