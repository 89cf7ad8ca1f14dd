package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
)

// cursor is where a stream is read on.
type cursor struct {
	// Token is the value that asks for the next page, as JSON.
	Token json.RawMessage `json:"token,omitempty"`
	// URL is the next page's address.
	URL string `json:"url,omitempty"`
	// Pages and Offset count what was read of this run.
	Pages  int64 `json:"pages,omitempty"`
	Offset int64 `json:"offset,omitempty"`
	// Answer is a hash of the last page, by which one that comes again is known.
	Answer string `json:"answer,omitempty"`
	// Part counts the parts of the page that were recorded, where it was recorded
	// in several.
	Part int `json:"part,omitempty"`
	// Since is the highest incremental value of the runs that are complete, and
	// Newest that of the one that is going on, as JSON.
	Since  json.RawMessage `json:"since,omitempty"`
	Newest json.RawMessage `json:"newest,omitempty"`
	// From is where the step of the window begins that is being read.
	From time.Time `json:"from,omitzero"`
	// Restarted says that the run was begun again because its place was gone.
	Restarted bool `json:"restarted,omitempty"`
}

// started reports whether pages of a run were read.
func (c cursor) started() bool { return c.Token != nil || c.URL != "" || c.Pages > 0 }

// anew returns the cursor at the beginning of the run's pages.
func (c cursor) anew() cursor { return cursor{Since: c.Since, Newest: c.Newest, From: c.From} }

// turn returns the cursor after a page, and whether there is another one.
func (p *poller) turn(ctx context.Context, c cursor, f *framework.Fetched, document *expr.Document, asked *url.URL, count int) (next cursor, more bool, err error) {
	g := p.settings.Pagination
	next = c.anew()
	next.Pages, next.Offset, next.Restarted = c.Pages+1, c.Offset+int64(count), c.Restarted
	if g == nil || g.Type == "none" {
		return next, false, nil
	}
	more = true
	if g.HasMore.given() && document != nil {
		v, err := g.HasMore.One(ctx, document)
		if err != nil {
			return next, false, framework.Permanent(fmt.Errorf("pagination.has_more: %w", err))
		}
		more = v.True()
	}
	switch g.Type {
	case "cursor":
		v, err := valueOf(ctx, g.Cursor, document)
		if err != nil {
			return next, false, framework.Permanent(fmt.Errorf("pagination.cursor: %w", err))
		}
		if more = more && v.True() && v.Text() != ""; more {
			next.Token, err = v.JSON()
		}
		return next, more, err
	case "link":
		next.URL = nextLink(f.Header)
	case "next_url":
		v, err := valueOf(ctx, g.Next, document)
		if err != nil {
			return next, false, framework.Permanent(fmt.Errorf("pagination.next: %w", err))
		}
		if v.True() {
			next.URL = v.Text()
		}
	default: // offset, page
		full := count > 0 && (g.Limit == 0 || count >= g.Limit)
		if g.HasMore.given() {
			full = true // the provider knows better
		}
		return next, more && full, nil
	}
	if next.URL == "" || !more {
		next.URL = ""
		return next, false, nil
	}
	address, err := asked.Parse(next.URL)
	if err != nil {
		return next, false, framework.Permanent(errors.New("the address of the next page is no URL"))
	}
	if err := p.mayFollow(address, asked); err != nil {
		return next, false, framework.Permanent(err)
	}
	next.URL = address.String()
	return next, true, nil
}

func valueOf(ctx context.Context, e expression, document *expr.Document) (expr.Value, error) {
	if document == nil || !e.given() {
		return expr.Value{}, nil
	}
	return e.One(ctx, document)
}

// mayFollow refuses a next page elsewhere: the credentials would go there.
func (p *poller) mayFollow(to, from *url.URL) error {
	base, err := parseEndpoint(p.settings.Endpoint)
	if err != nil {
		return err
	}
	switch {
	case to.User != nil:
		return errors.New("the address of the next page holds credentials; nothing is sent there")
	case sameOrigin(to, base) || sameOrigin(to, from):
		return nil
	case to.Scheme == "https" && slices.ContainsFunc(p.allowHosts, func(h string) bool { return strings.EqualFold(h, to.Hostname()) }):
		return nil
	case to.Scheme == "http" && slices.ContainsFunc(p.allowHosts, func(h string) bool { return strings.EqualFold(h, "http://"+to.Hostname()) }):
		return nil
	}
	return fmt.Errorf("the next page is on another host, %s, and nothing is sent there; name it in allow_hosts if credentials may go there", to.Host)
}

// nextLink returns the target of the Link header (RFC 8288) with rel="next".
func nextLink(h http.Header) string {
	for rest := strings.Join(h.Values("Link"), ","); ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			return ""
		}
		target, parameters, closed := strings.Cut(after, ">")
		if !closed {
			return ""
		}
		// Parameters end at a comma outside of quotes.
		quoted, end := false, len(parameters)
		for i := range len(parameters) {
			if parameters[i] == '"' {
				quoted = !quoted
			}
			if parameters[i] == ',' && !quoted {
				end = i
				break
			}
		}
		for parameter := range strings.SplitSeq(parameters[:end], ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.Contains(strings.Fields(strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))), "next") {
				return target
			}
		}
		rest = parameters[end:]
	}
}

// newest returns the higher of two incremental values, as JSON; nil is lowest.
func newest(a, b json.RawMessage) json.RawMessage {
	if a == nil || b != nil && compareValues(asScalar(a), asScalar(b)) < 0 {
		return b
	}
	return a
}

// asScalar returns the text of a JSON scalar.
func asScalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// compareValues orders two incremental values: as times, as numbers, else as
// texts.
func compareValues(a, b string) int {
	if x, err := time.Parse(time.RFC3339, a); err == nil {
		if y, err := time.Parse(time.RFC3339, b); err == nil {
			return x.Compare(y)
		}
	}
	if x, ok := new(big.Rat).SetString(a); ok && len(a) < 64 {
		if y, ok := new(big.Rat).SetString(b); ok && len(b) < 64 {
			return x.Cmp(y)
		}
	}
	return strings.Compare(a, b)
}

// reachBack returns the value less the lookback, as templates see it.
func reachBack(raw json.RawMessage, seconds int64) any {
	if raw == nil {
		return nil
	}
	text := asScalar(raw)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		if seconds == 0 {
			return text
		}
		return at.Add(-time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339Nano)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if raw[0] != '"' || seconds > 0 {
			return json.Number(strconv.FormatInt(n-seconds, 10))
		}
	}
	return text
}
