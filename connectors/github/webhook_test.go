package github_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/github"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

func delivery(event, id, body string) *framework.Delivery {
	return &framework.Delivery{
		Key: id, Body: []byte(body), ReceivedAt: start.Add(time.Second), Attempt: 1,
		Header: http.Header{"X-Github-Event": {event}, "Content-Type": {"application/json"}},
	}
}

func TestSendsADeliveryToTheStreamOfItsObject(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, github.Plugin, newStub(t, "").settings("octo/a"), nil)
	issue := `{"id":7,"updated_at":"2026-03-01T12:00:00Z"}`
	for _, c := range []struct{ event, body, want string }{
		{"issues", `{"action":"opened","issue":` + issue + `,"repository":{"id":1}}`, "issues upsert v/7/2026-03-01T12:00:00Z guid issue"},
		{"issues", `{"action":"deleted","issue":` + issue + `,"repository":{"id":1},"sender":{}}`, "issues delete v/7/2026-03-01T12:00:00Z guid issue"},
		{"issues", `{"action":"transferred","issue":` + issue + `,"changes":{}}`, "issues delete v/7/2026-03-01T12:00:00Z guid issue"},
		{"repository", `{"action":"renamed","changes":{},"repository":` + issue + `}`, "repositories upsert v/7/2026-03-01T12:00:00Z guid repository"},
		{"repository", `{"action":"deleted","repository":` + issue + `}`, "repositories delete v/7/2026-03-01T12:00:00Z guid repository"},
		{"issue_comment", `{"action":"deleted","issue":` + issue + `,"comment":{}}`, "events upsert e/guid issue_comment"},
		{"star", `{"action":"deleted","starred_at":null,"repository":` + issue + `}`, "events upsert e/guid star"},
		{"push", `{"ref":"refs/heads/main"}`, "events upsert e/guid push"},
		{"an_event_of_tomorrow", `{"action":"made"}`, "events upsert e/guid an_event_of_tomorrow"},
	} {
		emissions, err := b.Deliver(t.Context(), "github", delivery(c.event, "guid", c.body))
		require.NoError(t, err)
		require.Len(t, emissions, 1)
		e := emissions[0]
		require.Equal(t, c.want, fmt.Sprintf("%s %s %s %s", e.Stream, e.Operation, e.Key.Text(1, [16]byte{}), e.Type))
		if e.Stream == "events" {
			require.Equal(t, c.body, string(e.Payload))
		}
	}
}

func TestReadsTheFormThatGitHubPreselects(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, github.Plugin, newStub(t, "").settings("octo/a"), nil)
	d := delivery("ping", "guid", "payload="+url.QueryEscape(`{"zen":"a+b&c"}`))
	d.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	emissions, err := b.Deliver(t.Context(), "github", d)
	require.NoError(t, err)
	require.JSONEq(t, `{"zen":"a+b&c"}`, string(emissions[0].Payload))
}

func TestTakesTheLargestBodyThatGitHubSends(t *testing.T) {
	t.Parallel()
	verifier, err := webhook.New(github.Inbox.Spec(), []string{"0123456789abcdef"})
	require.NoError(t, err)
	require.EqualValues(t, 25<<20, verifier.MaxBody())
}

// The header is not signed: whoever replays a signed body may have changed it.
func TestRefusesAHeaderThatDoesNotAgreeWithTheBody(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, github.Plugin, newStub(t, "").settings("octo/a"), nil)
	issue := `{"id":7,"updated_at":"2026-03-01T12:00:00Z"}`
	for name, d := range map[string]*framework.Delivery{
		"a deleted comment as a deleted issue":   delivery("issues", "guid", `{"action":"deleted","issue":`+issue+`,"comment":{}}`),
		"a deleted star as a deleted repository": delivery("repository", "guid", `{"action":"deleted","starred_at":null,"repository":`+issue+`}`),
		"a deleted label as a repository":        delivery("repository", "guid", `{"action":"deleted","label":{},"repository":`+issue+`}`),
		"a push as an issue":                     delivery("issues", "guid", `{"ref":"refs/heads/main"}`),
		"an organization as a repository":        delivery("repository", "guid", `{"action":"deleted","organization":{"id":1}}`),
		"an event that is none":                  delivery("../issues", "guid", `{}`),
		"no event":                               delivery("", "guid", `{}`),
		"no JSON":                                delivery("push", "guid", `{`),
		"a list":                                 delivery("push", "guid", `[]`),
		"an issue of no id":                      delivery("issues", "guid", `{"action":"opened","issue":{}}`),
		"an issue of no form":                    delivery("issues", "guid", `{"action":"opened","issue":{"id":"7"}}`),
	} {
		emissions, err := b.Deliver(t.Context(), "github", d)
		require.Equal(t, framework.ClassPermanent, framework.ClassOf(err), name)
		require.Empty(t, emissions)
	}
}

// Within one second an issue changes three times: three webhooks with one
// updated_at, which come in any order around a poll.
func TestEndsWithTheLastStateOfASecond(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
	hook := func(id, state string) []ingest.Emission {
		body := fmt.Sprintf(`{"action":"edited","issue":{"id":1,"updated_at":%q,"state":%q}}`, start.Format(time.RFC3339), state)
		emissions, err := b.Deliver(t.Context(), "github", delivery("issues", id, body))
		require.NoError(t, err)
		return emissions
	}
	s.issue("octo/a", 1, 0, "third")
	s.advance(time.Minute)
	poll := connectortest.Run(t, b, connectortest.Sync{Stream: "issues"})[0].Emissions
	units := [][]ingest.Emission{hook("a", "first"), hook("b", "second"), hook("c", "third"), poll}
	for _, order := range []string{"0123", "2103", "3012", "3210", "0321", "1302", "33120210"} {
		log := connectortest.NewLog()
		for i := range strings.SplitSeq(order, "") {
			log.Commit(units[int(i[0]-'0')], start)
		}
		connectortest.RequireState(t, s.issueState(), log.State("issues"))
		require.Len(t, log.Events("issues"), 4, order)
	}
}

func TestADeletedIssueStaysDeleted(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	s.issue("octo/a", 1, time.Minute, "open")
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
	read := connectortest.Run(t, b, connectortest.Sync{Stream: "issues"})[0].Emissions
	updated := start.Add(-time.Minute).Format(time.RFC3339)
	gone, err := b.Deliver(t.Context(), "github", delivery("issues", "g", fmt.Sprintf(`{"action":"deleted","issue":{"id":1,"updated_at":%q}}`, updated)))
	require.NoError(t, err)
	for _, order := range [][][]ingest.Emission{{read, gone}, {gone, read}, {read, gone, read}} {
		log := connectortest.NewLog()
		for _, unit := range order {
			log.Commit(unit, start)
		}
		require.Empty(t, log.State("issues"))
	}
}
