package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
)

// Deliveries is what the pages show of webhooks, and what their buttons do;
// what the API works with has it.
type Deliveries interface {
	// StoredDelivery returns one stored delivery with its header and body, or
	// store.ErrNotFound.
	StoredDelivery(ctx context.Context, connectionID, id string) (store.StoredDelivery, error)
	// Redeliver calls the handlers of the selected deliveries again.
	Redeliver(ctx context.Context, r store.DeliveryRange, every time.Duration) (int, error)
	// Discard erases the selected deliveries and keeps the reason.
	Discard(ctx context.Context, r store.DeliveryRange, reason string) (int, error)
	// Report returns what the processes know of an endpoint since their start.
	Report(ctx context.Context, connectionID, endpoint string) (r intake.Report, ok bool, err error)
	// ResumeEndpoint ends the quarantine of an endpoint.
	ResumeEndpoint(ctx context.Context, connectionID, endpoint string) (bool, error)
}

var _ Deliveries = api.Deliveries(nil)

// shownRecent is how many of the last deliveries of an endpoint are seen at
// once; the others unfold.
const shownRecent = 10

// endpointLine is an endpoint with what came in lately.
type endpointLine struct {
	Path, Auth, URL, Description string
	// Known is false while the connection is disabled.
	Known bool
	// Counts are those of each verdict since the start, Silent how many processes
	// did not say theirs.
	Counts            []verdictCount
	Processes, Silent int
	// Limits are what the operator decided, in words.
	Limits string
	// ResumePath is where a quarantine is ended; "" without one.
	ResumePath   string
	Recent, Rest []recentLine
}

type verdictCount struct {
	Word, Style string
	Count       int64
}

// recentLine is a delivery that came in, or a later call of its handler.
type recentLine struct {
	Key, ID, Href string
	Word, Style   string
	Status        string
	At            *moment
	Took, Size    string
	Events        int64
	Why           string
	// First is the event of the delivery that a duplicate repeats.
	First string
}

func (d *Dashboard) endpoints(r *http.Request, t health.Target) (lines []endpointLine, err error) {
	base := d.cfg.Address.Base(r)
	for _, e := range t.Manifest.Endpoints {
		line := endpointLine{
			Path: e.Path, Auth: string(e.Auth), URL: health.WebhookURL(base, t.Connection, e.Path), Description: e.Description,
		}
		report, known, err := d.cfg.Deliveries.Report(r.Context(), t.Connection.ID, e.Path)
		if err != nil {
			return nil, fmt.Errorf("ask what came in: %w", err)
		}
		if known {
			d.fill(&line, t.Connection, report)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (d *Dashboard) fill(line *endpointLine, c store.Connection, report intake.Report) {
	line.Known, line.Processes, line.Silent, line.Limits = true, report.Processes, report.Processes-report.Answered, limitWords(report)
	if report.Quarantined {
		line.ResumePath = endpointPath(c, line.Path) + "/resume"
	}
	for _, v := range intake.Verdicts() {
		if n := report.Counts[v]; n > 0 {
			line.Counts = append(line.Counts, verdictCount{verdictWord(v), verdictStyle(v), n})
		}
	}
	for _, e := range report.Recent {
		line.Recent = append(line.Recent, d.recentLine(c, e, report.Policy.Keep > 0))
	}
	if len(line.Recent) > shownRecent {
		line.Recent, line.Rest = line.Recent[:shownRecent], line.Recent[shownRecent:]
	}
}

func (d *Dashboard) recentLine(c store.Connection, e intake.Recent, kept bool) recentLine {
	line := recentLine{
		Key: "recent-" + strconv.FormatInt(e.At.UnixNano(), 36) + "-" + string(e.Verdict), ID: e.ID, Word: verdictWord(e.Verdict), Style: verdictStyle(e.Verdict),
		Status: strconv.Itoa(e.Status), At: d.moment(health.TimeOrNil(e.At)), Took: took(e.Took), Size: sizeWords(int64(e.Bytes)),
		Events: int64(e.Events), Why: visible(e.Why), First: e.First,
	}
	if e.Status == 0 {
		line.Status = "call " + strconv.Itoa(e.Attempt)
	}
	// One that was handled is there only where all are kept.
	if e.ID != "" && (e.Verdict == intake.Stored || e.Verdict == intake.Dead || kept) {
		line.Href = deliveryPath(c, e.ID)
	}
	return line
}

// limitWords says what bounds an endpoint: "2 of 64 handlers at work, at most 10
// a second, kept for 7 days".
func limitWords(r intake.Report) string {
	words := []string{thousands(int64(r.Working)) + " of " + countWords(r.MaxHandlers, "handler") + " at work"}
	switch rate := r.Policy.RateLimit; {
	case rate >= 1:
		words = append(words, "at most "+strconv.FormatFloat(rate, 'g', 4, 64)+" a second")
	case rate > 0:
		words = append(words, "at most "+strconv.FormatFloat(rate*60, 'g', 4, 64)+" a minute")
	}
	if r.Policy.Keep > 0 {
		words = append(words, "each kept for "+countWords(int(r.Policy.Keep/(24*time.Hour)), "day"))
	}
	return strings.Join(words, ", ")
}

func verdictWord(v intake.Verdict) string {
	if v == intake.Dead {
		return "given up"
	}
	return strings.ReplaceAll(string(v), "_", " ")
}

// verdictStyle is the state whose color a verdict has.
func verdictStyle(v intake.Verdict) string {
	switch v {
	case intake.Accepted:
		return "healthy"
	case intake.Dead, intake.Failed:
		return "failing"
	case intake.Stored, intake.Unverified, intake.TooLarge, intake.Refused, intake.Busy, intake.Limited:
		return "late"
	case intake.Duplicate, intake.Handshake:
	}
	return "paused"
}

// resumeEndpoint ends the quarantine of an endpoint and shows a stream of its
// connection.
func (d *Dashboard) resumeEndpoint(w http.ResponseWriter, r *http.Request) {
	c, err := d.connection(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	path := chi.URLParam(r, "path")
	resumed, err := d.cfg.Deliveries.ResumeEndpoint(r.Context(), c.ID, path)
	if err == nil && !resumed {
		err = &api.ConflictError{Err: fmt.Errorf("endpoint %q of %s is in no quarantine", path, c.Name)}
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.cfg.Feed.NotifyProject(c.Project)
	http.Redirect(w, r, d.webhookPage(c), http.StatusSeeOther)
}

func (d *Dashboard) connection(r *http.Request) (store.Connection, error) {
	return d.cfg.Board.Connection(r.Context(), chi.URLParam(r, "project"), chi.URLParam(r, "connection"))
}

// webhookPage is the page of the first stream of a connection that webhooks
// feed, or the overview.
func (d *Dashboard) webhookPage(c store.Connection) string {
	streams := d.cfg.Board.Manifest(c.ID).Streams
	i := slices.IndexFunc(streams, isWebhook)
	if i < 0 {
		return "/#c-" + c.ID
	}
	return streamPath(health.View{Project: c.Project, Connection: c.Name, Stream: streams[i].Key})
}
