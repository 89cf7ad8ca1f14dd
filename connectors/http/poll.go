package http

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/ingest"
)

type (
	syncRequest = framework.SyncRequest[cursor]
	syncResult  = framework.SyncResult[cursor]
)

// poller reads one stream.
type poller struct {
	settings   StreamSettings
	stream     catalog.PollStream[record, cursor]
	requests   *requests
	sender     *sender
	allowHosts []string
	batch      Batch

	mu sync.Mutex
	// left is what was not yet recorded of the last page.
	left *leftover
}

// leftover is the rest of a page that is recorded in parts.
type leftover struct {
	// at is the cursor that asks for the rest.
	at      []byte
	from    time.Time
	to      time.Time
	records []expr.Value
	readAt  time.Time
	result  syncResult
}

func newPoller(s Settings, one StreamSettings, sender *sender) (*poller, error) {
	r, err := newRequests(s, one)
	if err != nil {
		return nil, err
	}
	p := &poller{settings: one, stream: pollStream(one), requests: r, sender: sender, batch: s.Batch}
	for _, host := range s.AllowHosts {
		p.allowHosts = append(p.allowHosts, hostOf(host))
	}
	return p, nil
}

// page reads one page, or the next part of one that is recorded in several.
func (p *poller) page(ctx context.Context, in syncRequest, out *ingest.Buffer) (syncResult, error) {
	if p.settings.Window == nil && (!in.From.IsZero() || !in.To.IsZero()) {
		return syncResult{}, framework.Permanent(errors.New("this stream asks for no time windows; set window, and use .from and .to in query"))
	}
	left := p.take(in)
	if left == nil {
		c := in.Cursor
		c.Part = 0 // what was recorded of the page before a restart is known by its keys
		var err error
		if left, err = p.fetch(ctx, in, c); err != nil {
			return p.afterFailure(in.Cursor, err)
		}
	}
	return p.record(ctx, in, left, out)
}

// take returns the rest of the page that in continues, if it is still there.
func (p *poller) take(in syncRequest) *leftover {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.left
	p.left = nil
	at, err := json.Marshal(in.Cursor)
	if left == nil || err != nil || in.Cursor.Part == 0 || !bytes.Equal(left.at, at) || !left.from.Equal(in.From) || !left.to.Equal(in.To) {
		return nil
	}
	return left
}

// errPlaceGone says that the provider does not know the place of the cursor.
var errPlaceGone = errors.New("the provider does not know this page any more")

// fetch asks for a page and finds its records.
func (p *poller) fetch(ctx context.Context, in syncRequest, c cursor) (*leftover, error) {
	at, to, err := p.position(ctx, in, &c)
	if err != nil {
		return nil, err
	}
	var next *url.URL
	if c.URL != "" {
		if next, err = url.Parse(c.URL); err != nil {
			return nil, framework.Permanent(errors.New("the saved address of the next page is no URL; reset the stream"))
		}
		base, err := parseEndpoint(p.settings.Endpoint)
		if err == nil {
			err = p.mayFollow(next, base) // the settings may have changed
		}
		if err != nil {
			return nil, framework.Permanent(err)
		}
	}
	var asked *url.URL
	fetched, err := p.sender.fetch(ctx, func() (*http.Request, []byte, error) {
		request, body, err := p.requests.build(ctx, at, next)
		if err == nil {
			asked = request.URL
		}
		return request, body, err
	})
	switch {
	case fetched != nil && (fetched.Status == http.StatusNotModified || slices.Contains(p.settings.EmptyStatuses, fetched.Status)):
		return p.atEnd(&leftover{from: in.From, to: in.To, readAt: fetched.ReadAt}, c, in, to), nil
	case err != nil:
		if fetched != nil && c.started() && (c.Token != nil || c.URL != "") && framework.ClassOf(err) == framework.ClassPermanent && fetched.Status >= 400 {
			err = fmt.Errorf("%w: %w", errPlaceGone, err)
		}
		return nil, err
	case fetched.Status == http.StatusNoContent || len(bytes.TrimSpace(fetched.Body)) == 0:
		return p.atEnd(&leftover{from: in.From, to: in.To, readAt: fetched.ReadAt}, c, in, to), nil
	}
	records, document, err := p.settings.extract(ctx, fetched.Body)
	// What the provider says of a failure comes before what we could not find.
	if failure := p.settings.failure(ctx, document); failure != nil {
		return nil, failure
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	sum := sha256.Sum256(fetched.Body)
	answer := hex.EncodeToString(sum[:8])
	if g := p.settings.Pagination; g != nil && (g.Type == "offset" || g.Type == "page") && len(records) > 0 && c.Answer == answer {
		return nil, framework.Permanent(fmt.Errorf("page %d is the same as the one before it: the provider pays no heed to the parameter; check pagination.param", c.Pages+1))
	}
	left := &leftover{from: in.From, to: in.To, records: records, readAt: fetched.ReadAt}
	if c.Newest, err = p.highest(ctx, c.Newest, records); err != nil {
		return nil, err
	}
	after, more, err := p.turn(ctx, c, fetched, document, asked, len(records))
	if err != nil {
		return nil, err
	}
	if !more {
		return p.atEnd(left, c, in, to), nil
	}
	after.Answer = answer
	left.result = syncResult{Cursor: after, HasMore: true}
	return left, nil
}

// position returns what the templates of the page see, and the end of the step
// of the window.
func (p *poller) position(ctx context.Context, in syncRequest, c *cursor) (at position, to time.Time, err error) {
	at = position{page: c.Pages, offset: c.Offset, from: in.From, to: in.To}
	if g := p.settings.Pagination; g != nil {
		at.page, at.offset = g.Start+c.Pages, g.Start+c.Offset
	}
	if c.Token != nil {
		decoder := json.NewDecoder(bytes.NewReader(c.Token))
		decoder.UseNumber()
		if err := decoder.Decode(&at.cursor); err != nil {
			return at, to, framework.Permanent(errors.New("the saved cursor is no JSON; reset the stream"))
		}
	}
	if inc := p.settings.Incremental; inc != nil {
		at.since = reachBack(c.Since, inc.Lookback)
		if at.since == nil && inc.Start.given() {
			text, err := inc.Start.Text(ctx, expr.Of(map[string]any{"vars": p.requests.vars}), func(_ string, v expr.Value) string { return v.Text() })
			if err != nil {
				return at, to, framework.Permanent(fmt.Errorf("incremental.start: %w", err))
			}
			at.since = text
		}
	}
	w := p.settings.Window
	if w == nil {
		return at, to, nil
	}
	if at.from.IsZero() && w.Start != "" {
		if at.from, err = time.Parse(time.RFC3339, w.Start); err != nil {
			return at, to, framework.Permanent(errors.New("window.start is no time"))
		}
	}
	if w.Step > 0 && !at.from.IsZero() && !at.to.IsZero() {
		if c.From.After(at.from) && c.From.Before(at.to) {
			at.from = c.From
		}
		c.From = at.from
		if step := at.from.Add(time.Duration(w.Step) * time.Second); step.Before(at.to) {
			at.to = step
		}
	}
	return at, at.to, nil
}

// atEnd ends the pages of a run, or of one step of its window.
func (p *poller) atEnd(left *leftover, c cursor, in syncRequest, to time.Time) *leftover {
	if w := p.settings.Window; w != nil && w.Step > 0 && !in.To.IsZero() && !to.IsZero() && to.Before(in.To) {
		next := cursor{Since: c.Since, Newest: c.Newest, From: to}
		left.result = syncResult{Cursor: next, HasMore: true}
		return left
	}
	left.result = syncResult{Cursor: cursor{Since: newest(c.Since, c.Newest)}}
	return left
}

// highest returns the highest incremental value of the run so far.
func (p *poller) highest(ctx context.Context, sofar json.RawMessage, records []expr.Value) (json.RawMessage, error) {
	inc := p.settings.Incremental
	if inc == nil {
		return nil, nil
	}
	for _, record := range records {
		v, err := inc.Field.One(ctx, record.Document())
		if err != nil {
			return nil, framework.Permanent(fmt.Errorf("incremental.field: %w", err))
		}
		if !v.Scalar() {
			continue
		}
		raw, err := v.JSON()
		if err != nil {
			return nil, framework.Permanent(fmt.Errorf("incremental.field: %w", err))
		}
		sofar = newest(sofar, raw)
	}
	return sofar, nil
}

// afterFailure begins a run's pages again, once, when the place of the cursor is
// gone: cursors of providers end. What is read twice is known by its keys.
func (p *poller) afterFailure(c cursor, err error) (syncResult, error) {
	if !errors.Is(err, errPlaceGone) || c.Restarted {
		return syncResult{}, err
	}
	again := c.anew()
	again.Restarted = true
	return syncResult{Cursor: again, HasMore: true}, nil
}

// record emits records as far as they may be recorded at once, and keeps the
// rest.
func (p *poller) record(ctx context.Context, in syncRequest, left *leftover, out *ingest.Buffer) (syncResult, error) {
	limits := ingest.PageLimits()
	events, size := limits.Events, limits.Bytes
	if p.batch.MaxEvents > 0 {
		events = min(events, p.batch.MaxEvents)
	}
	if p.batch.MaxBytes > 0 {
		size = min(size, p.batch.MaxBytes)
	}
	done := 0
	for done < len(left.records) && done < events {
		raw, err := left.records[done].JSON()
		if err != nil {
			return syncResult{}, framework.Permanent(fmt.Errorf("record %d: %w", done+1, err))
		}
		// One that is too large alone is recorded alone, or refused by its own limit.
		if size -= len(raw); size < 0 && done > 0 {
			break
		}
		if err := p.settings.emit(ctx, out, left.records[done], emission{stream: p.stream, at: left.readAt}); err != nil {
			return syncResult{}, fmt.Errorf("record %d of the page: %w", done+1, err)
		}
		done++
	}
	if done == len(left.records) {
		return left.result, nil
	}
	rest := *left
	rest.records = left.records[done:]
	next := in.Cursor
	next.Part++
	var err error
	if rest.at, err = json.Marshal(next); err != nil {
		return syncResult{}, framework.Permanent(err)
	}
	p.mu.Lock()
	p.left = &rest
	p.mu.Unlock()
	return syncResult{Cursor: next, HasMore: true}, nil
}

// failure returns what the checks find in an answer.
func (r Reading) failure(ctx context.Context, document *expr.Document) error {
	if document == nil {
		return nil
	}
	for i, check := range r.Checks {
		v, err := check.When.One(ctx, document)
		if err != nil {
			return framework.Permanent(fmt.Errorf("checks[%d].when: %w", i, err))
		}
		if !v.True() {
			continue
		}
		text := ""
		if check.Message.given() {
			if said, err := check.Message.One(ctx, document); err == nil {
				text = ": " + clip(said.Text())
			}
		}
		failed := fmt.Errorf("the answer says that it failed (checks[%d])%s", i, text)
		switch check.Class {
		case "auth":
			return framework.Auth(failed)
		case "permanent":
			return framework.Permanent(failed)
		}
		return failed
	}
	return nil
}

// clip shortens what a provider says to what fits a line.
func clip(s string) string {
	const longest = 300
	if runes := []rune(s); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return s
}
