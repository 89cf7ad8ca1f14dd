package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxFaults bounds what an answer says is wrong with a query: there may be
	// thousands of unknown parameters in one.
	maxFaults = 20
)

// query reads the query parameters of a request and collects everything that is
// wrong with them.
type query struct {
	values url.Values
	known  []string
	faults []Fault
}

func newQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.fault("", "the query string cannot be read: %v", err)
	}
	return q
}

func (q *query) fault(parameter, format string, args ...any) {
	q.faults = append(q.faults, Fault{Parameter: parameter, Detail: fmt.Sprintf(format, args...)})
}

// text returns a parameter; ok is false when it is absent or given twice.
func (q *query) text(name string) (value string, ok bool) {
	q.known = append(q.known, name)
	values := q.values[name]
	if len(values) > 1 {
		q.fault(name, "is given %d times; give it once", len(values))
		return "", false
	}
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

func (q *query) number(name string, fallback, least, most int64) int64 {
	text, ok := q.text(name)
	if !ok {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most || text[0] == '+' {
		if most == maxLimit {
			q.fault(name, "is %s; it must be a whole number from %d to %d", shown(text), least, most)
		} else {
			q.fault(name, "is %s; it must be a whole number, at least %d", shown(text), least)
		}
		return fallback
	}
	return n
}

func (q *query) limit() int { return int(q.number("limit", defaultLimit, 1, maxLimit)) }

// moment reads an RFC 3339 time, or a date, which is its midnight in UTC.
func (q *query) moment(name string) time.Time {
	text, ok := q.text(name)
	if !ok {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && !t.IsZero() {
			return t.UTC()
		}
	}
	q.fault(name, "is %s; it must be a date (2026-01-31) or an RFC 3339 time (2026-01-31T12:00:00Z)", shown(text))
	return time.Time{}
}

// cursor reads a JSON value.
func (q *query) cursor(name string) []byte {
	text, ok := q.text(name)
	switch {
	case !ok:
		return nil
	case len(text) > framework.MaxCursorBytes:
		q.fault(name, "has %d bytes; the limit is %d", len(text), framework.MaxCursorBytes)
		return nil
	case !json.Valid([]byte(text)):
		q.fault(name, "is %s; it must be JSON as the cursor of an answer is, a text in quotes", shown(text))
		return nil
	}
	return []byte(text)
}

// token reads the opaque place of a list, made by [pageToken].
func (q *query) token(name string, parts int) []string {
	text, ok := q.text(name)
	if !ok {
		return nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	place := strings.Split(string(raw), "/")
	if err != nil || len(place) != parts {
		q.fault(name, "is %s, which is no place of this list; take it from \"next\" of the last answer", shown(text))
		return nil
	}
	return place
}

// pageToken makes the opaque place after an entry of a list. No part may hold
// a slash, and no name of ours does.
func pageToken(parts ...string) *string {
	t := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "/")))
	return &t
}

// err returns the problem of all faults, or nil. Call it after every parameter
// was read: what was not read is unknown.
func (q *query) err() error {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if len(q.faults) == maxFaults {
			q.fault("", "there are more faults")
			break
		}
		if !slices.Contains(q.known, name) {
			hint := framework.Suggest(name, q.known)
			if hint == "" && len(q.known) > 0 {
				hint = "; known are " + strings.Join(q.known, ", ")
			}
			q.fault(strings.Trim(shown(name), `"`), "is unknown%s", hint)
		}
	}
	if len(q.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(q.faults, func(a, b Fault) int { return cmp.Compare(a.Parameter, b.Parameter) })
	var names []string
	for _, f := range q.faults {
		names = append(names, strings.TrimSpace(f.Parameter+" "+f.Detail))
	}
	p := newProblem(http.StatusBadRequest, "invalid_parameters", "the query is not valid: "+strings.Join(names, "; "))
	p.Errors = q.faults
	return p
}

// shown quotes what a caller sent, bounded, with control characters escaped.
func shown(s string) string { return strconv.QuoteToGraphic(clipped(s)) }

func clipped(s string) string { return clippedTo(s, 64) }

func clippedTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
