package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// row is a stream as the overview shows it.
type row struct {
	health.View
	Anchor, Href        string
	Summary             string
	CadenceWords        string
	LastSuccess, NextAt *moment
	Spark               sparkline
	ErrorText           string
}

// group is a connection with its streams.
type group struct {
	Connection store.Connection
	// Linked says that the connector is part of this program.
	Linked bool
	// ShowProject says that the project's name helps to tell connections apart.
	ShowProject bool
	// Stored counts the deliveries that wait or were given up, and StoredHref
	// leads to them, where a webhook stream has a page.
	Stored     store.DeliveryCount
	StoredHref string
	// Href leads to the connection's own page, "" where there is none.
	Href string
	// ActionsHref leads to what the connection can be asked to do, "" for nothing.
	ActionsHref string
	Rows        []row
	// Sink is set of a connection that delivers.
	Sink *sinkRow
}

// tally is one part of the summary: how many streams have a state, and the
// first of them to go to.
type tally struct {
	State  health.State
	Count  int
	Anchor string
}

type overviewBody struct {
	Streams, Connections int
	Tallies              []tally
	Groups               []group
}

// tallyOrder is the order of the summary: what needs somebody first.
var tallyOrder = []health.State{
	health.Failing, health.Late, health.Running, health.Healthy, health.NeverRun, health.Paused, health.Disabled,
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request) {
	if d.cfg.Machine != nil && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		d.cfg.Machine(w, r)
		return
	}
	only := api.CallerOf(r.Context()).Project // "" for all
	connections, err := d.cfg.Board.Connections(r.Context(), only)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	slices.SortStableFunc(connections, func(x, y store.Connection) int {
		// The project that everybody has comes first.
		return cmp.Compare(btoi(x.Project != health.DefaultProject), btoi(y.Project != health.DefaultProject))
	})
	targets, err := d.cfg.Board.Targets(r.Context(), only)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	views, err := d.cfg.Board.Overview(r.Context(), targets)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	counts, err := d.cfg.Store.DeliveryCounts(r.Context(), "")
	if err != nil {
		d.fail(w, r, err)
		return
	}
	sinks, err := d.cfg.Board.Sinks(r.Context(), "")
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body := overviewBody{Streams: len(views), Connections: len(connections), Groups: d.groups(connections, views, counts, d.sinkRows(sinks))}
	body.Tallies = tallies(views)
	d.render(w, r, http.StatusOK, "overview.html", page{
		Title: overviewTitle(body.Tallies), SignedIn: d.cfg.Sessions.NeedsSignIn(), Live: true, Body: body,
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// overviewTitle puts what is wrong into the tab of the browser.
func overviewTitle(tallies []tally) string {
	var parts []string
	for _, t := range tallies {
		if t.State == health.Failing || t.State == health.Late {
			parts = append(parts, thousands(int64(t.Count))+" "+t.State.Label())
		}
	}
	if len(parts) == 0 {
		return "Streams"
	}
	return strings.Join(parts, ", ")
}

func (d *Dashboard) groups(connections []store.Connection, views []health.View, counts []store.DeliveryCount, sinks map[string]*sinkRow) []group {
	rows := map[string][]row{}
	for _, v := range views {
		rows[v.ConnectionID] = append(rows[v.ConnectionID], d.row(v))
	}
	stored := map[string]store.DeliveryCount{}
	for _, c := range counts {
		stored[c.ConnectionID] = c
	}
	projects := map[string]bool{}
	for _, c := range connections {
		projects[c.Project] = true
	}
	var out []group
	for _, c := range connections {
		href := ""
		if i := slices.IndexFunc(rows[c.ID], func(r row) bool { return r.Mode == catalog.ModeWebhook }); i >= 0 {
			href = rows[c.ID][i].Href + "#h-deliveries"
		}
		out = append(out, group{
			Stored: stored[c.ID], StoredHref: href, Sink: sinks[c.ID], ActionsHref: d.actionsPath(c), Href: d.connectionPath(c.Project, c.Name),
			Connection: c, Linked: d.cfg.Board.Manifest(c.ID).Connector != "",
			ShowProject: len(projects) > 1 || c.Project != health.DefaultProject, Rows: rows[c.ID],
		})
	}
	return out
}

func (d *Dashboard) row(v health.View) row {
	out := row{
		View: v, Anchor: "s-" + v.ConnectionID + "-" + v.Stream, Href: streamPath(v),
		Summary: firstSentence(v.Description), CadenceWords: cadence(v),
		LastSuccess: d.moment(v.LastSuccessAt), NextAt: d.due(v.NextRunAt), Spark: newSparkline(v.Hourly),
	}
	if v.LastError != nil && v.ConsecutiveFailures > 0 {
		out.ErrorText = visible(*v.LastError)
	}
	return out
}

func (d *Dashboard) moment(t *health.Time) *moment {
	if t == nil {
		return nil
	}
	return &moment{t.Time, relative(t.Time, d.cfg.Board.Now())}
}

// due is a moment that somebody waits for: when it has gone by, that is said.
func (d *Dashboard) due(t *health.Time) *moment {
	m := d.moment(t)
	if m != nil && strings.HasSuffix(m.Words, " ago") {
		m.Words = "due " + m.Words
	} else if m != nil && m.Words == "just now" {
		m.Words = "now"
	}
	return m
}

// cadence says when a stream is fed, in words.
func cadence(v health.View) string {
	switch {
	case v.Mode == catalog.ModeWebhook:
		return "on delivery"
	case v.Cadence != nil:
		return *v.Cadence
	case v.Schedule != nil:
		return *v.Schedule
	default:
		return ""
	}
}

// streamPath is the address of a stream's page.
func streamPath(v health.View) string {
	return "/streams/" + url.PathEscape(v.Project) + "/" + url.PathEscape(v.Connection) + "/" + url.PathEscape(v.Stream)
}

func tallies(views []health.View) []tally {
	var out []tally
	for _, state := range tallyOrder {
		t := tally{State: state}
		for _, v := range views {
			if v.State == state {
				if t.Count == 0 {
					t.Anchor = "s-" + v.ConnectionID + "-" + v.Stream
				}
				t.Count++
			}
		}
		if t.Count > 0 {
			out = append(out, t)
		}
	}
	return out
}

// firstSentence is the start of a doc comment, on one line.
func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		return text[:i+1]
	}
	return text
}
