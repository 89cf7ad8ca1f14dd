package stripe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

const (
	// pageSize is the most that Stripe gives at once.
	pageSize = 100
	// overlap is how far a window reaches back into the one before it.
	overlap = time.Hour
)

// window is the cursor of every polled stream. All times are Unix seconds on
// Stripe's clock.
type window struct {
	// Watermark says that everything created before it was read.
	Watermark int64 `json:"watermark"`
	// Until is the watermark after the window that is being read: the moment
	// of its first page. It is 0 while no window is being read.
	Until int64 `json:"until"`
	// After is the id of the last object that was read of the window and
	// AfterCreated its creation time. After is empty when that object is gone.
	After        string `json:"after"`
	AfterCreated int64  `json:"after_created"`
}

type client struct {
	http     *http.Client
	settings Settings
}

func (c *client) syncCustomers(ctx context.Context, in framework.SyncRequest[window], out *ingest.Buffer) (framework.SyncResult[window], error) {
	return syncPage(ctx, c, "/v1/customers", Customers, "customer", in, out)
}

func (c *client) syncInvoices(ctx context.Context, in framework.SyncRequest[window], out *ingest.Buffer) (framework.SyncResult[window], error) {
	return syncPage(ctx, c, "/v1/invoices", Invoices, "invoice", in, out)
}

func (c *client) syncPayouts(ctx context.Context, in framework.SyncRequest[window], out *ingest.Buffer) (framework.SyncResult[window], error) {
	return syncPage(ctx, c, "/v1/payouts", Payouts, "payout", in, out)
}

// syncPage reads one page of the window that the cursor is in, or the first
// page of the next window.
func syncPage[T object](
	ctx context.Context, c *client, path string, stream catalog.Of[ingest.Record[T]], canonicalType string,
	in framework.SyncRequest[window], out *ingest.Buffer,
) (framework.SyncResult[window], error) {
	w := in.Cursor
	list, err := fetchList[T](ctx, c, path, w.query(in.From, in.To))
	if errors.Is(err, errAnchorGone) && w.After != "" {
		// Go on at the anchor's second. What was read of it comes again and
		// is known.
		w.After = ""
		return framework.SyncResult[window]{Cursor: w, HasMore: true}, nil
	}
	if err != nil {
		return framework.SyncResult[window]{}, err
	}
	for _, r := range list.Data {
		options := ingest.Options{IdempotencyKey: ingest.LatestKey(r.Value.identity().id), Time: list.readAt}
		if err := ingest.Canonical(out, stream, canonicalType, r, options); err != nil {
			return framework.SyncResult[window]{}, err
		}
	}
	if w.Until == 0 {
		w.Until = list.readAt.Unix()
	}
	if !list.HasMore || len(list.Data) == 0 {
		return framework.SyncResult[window]{Cursor: window{Watermark: w.Until}}, nil
	}
	last := list.Data[len(list.Data)-1].Value.identity()
	w.After, w.AfterCreated = last.id, last.created
	return framework.SyncResult[window]{Cursor: w, HasMore: true}, nil
}

// query asks for the next page of the window: from the watermark less the
// overlap, or of a backfill's range.
func (w window) query(from, to time.Time) url.Values {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if from.IsZero() {
		from = time.Unix(max(0, w.Watermark-int64(overlap/time.Second)), 0)
	}
	if from.Unix() > 0 {
		q.Set("created[gte]", strconv.FormatInt(ceilUnix(from), 10))
	}
	until := int64(math.MaxInt64)
	if !to.IsZero() {
		until = ceilUnix(to)
	}
	switch {
	case w.After != "":
		q.Set("starting_after", w.After)
	case w.AfterCreated > 0:
		until = min(until, w.AfterCreated+1)
	}
	if until < math.MaxInt64 {
		q.Set("created[lt]", strconv.FormatInt(until, 10))
	}
	return q
}

// ceilUnix returns the first whole second that is not before t.
func ceilUnix(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

type list[T object] struct {
	Object  string             `json:"object"`
	Data    []ingest.Record[T] `json:"data"`
	HasMore bool               `json:"has_more"`
	readAt  time.Time
}

// errAnchorGone says that the object named by starting_after does not exist.
var errAnchorGone = errors.New("the object named by starting_after is gone")

func fetchList[T object](ctx context.Context, c *client, path string, query url.Values) (*list[T], error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(c.settings.BaseURL)+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, framework.Permanent(fmt.Errorf("make request: %w", err))
	}
	request.Header.Set("Authorization", "Bearer "+c.settings.APIKey.Reveal())
	if c.settings.APIVersion != "" {
		request.Header.Set("Stripe-Version", c.settings.APIVersion)
	}
	response, err := framework.Fetch(c.http, request)
	if err != nil {
		if response != nil && anchorGone(response) {
			return nil, fmt.Errorf("%w: %w", errAnchorGone, err)
		}
		return nil, err
	}
	if response.ReadAt.IsZero() {
		return nil, errors.New("the response has no Date, by which polled records are ordered")
	}
	response.Body = compact(response.Body)
	page := &list[T]{readAt: response.ReadAt}
	if err := response.Decode(page); err != nil {
		return nil, err
	}
	if page.Object != "list" {
		return nil, framework.Permanent(fmt.Errorf("%s answered object %q and not a list; check base_url", path, page.Object))
	}
	return page, nil
}

// anchorGone reports whether Stripe refuses starting_after: 404 or 400 with the
// code resource_missing.
func anchorGone(r *framework.Fetched) bool {
	var problem struct {
		Error struct {
			Code  string `json:"code"`
			Param string `json:"param"`
		} `json:"error"`
	}
	if r.Status != http.StatusNotFound && r.Status != http.StatusBadRequest || r.Decode(&problem) != nil {
		return false
	}
	return problem.Error.Code == "resource_missing" && cmp.Or(problem.Error.Param, "starting_after") == "starting_after"
}

// compact removes the white space between tokens, which Stripe sets differently
// in lists and in webhooks, so that the same state has the same bytes. Digits,
// key order and escapes stay. What is no JSON stays as it is, for the decoder
// to refuse.
func compact(body []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return body
	}
	return b.Bytes()
}
