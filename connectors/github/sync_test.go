package github_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/github"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
)

func read(t *testing.T, b *framework.Binding, log *connectortest.Log, s connectortest.Sync) []byte {
	t.Helper()
	var cursor []byte
	for _, p := range connectortest.Run(t, b, s) {
		log.Commit(p.Emissions, p.At)
		cursor = p.Cursor
	}
	return cursor
}

// fill gives a repository n issues, ids from the given one on, each updated
// step after the one before, the last a minute ago.
func (s *stub) fill(repo string, from, n int, step time.Duration) {
	for i := range n {
		s.issue(repo, from+i, time.Minute+time.Duration(n-i)*step, "open")
	}
}

func TestReadsTheIssuesOfEveryRepositoryWithoutPullRequests(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	s.fill("octo/big", 1000, 350, time.Minute)
	s.fill("octo/small", 2000, 3, time.Hour)
	s.issues["octo/big"][7].pull = true
	b := connectortest.Open(t, github.Plugin, s.settings("octo/big", "octo/small", "octo/empty"), s.Client())
	log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: "issues"})
	connectortest.RequireState(t, s.issueState(), log.State("issues"))
	require.Len(t, log.Events("issues"), 352)
}

func TestReadsMoreThanAPageOfOneSecond(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	s.fill("octo/a", 1000, 50, time.Minute)
	for i := range 330 {
		s.issue("octo/a", 2000+i, 40*time.Minute, "imported")
	}
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
	log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: "issues"})
	connectortest.RequireState(t, s.issueState(), log.State("issues"))
}

func TestLosesNothingWhenIssuesAreUpdatedAndDeletedBetweenPages(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	s.fill("octo/a", 1000, 420, time.Minute)
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
	log := connectortest.NewLog()
	cursor := read(t, b, log, connectortest.Sync{Stream: "issues", BeforePage: func(page int) {
		s.advance(2 * time.Second)
		if page > 0 && page < 4 { // what was read moves to the end or goes: what was not moves up
			for i := range 30 {
				s.issue("octo/a", 1000+50*page+i, 0, "updated while read")
			}
			s.remove("octo/a", 1000+50*page+40)
		}
	}})
	s.advance(time.Minute)
	read(t, b, log, connectortest.Sync{Stream: "issues", Cursor: cursor})
	got := log.State("issues")
	for _, id := range []string{"1090", "1140", "1190"} {
		delete(got, id) // deletions come by webhook
	}
	connectortest.RequireState(t, s.issueState(), got)
}

func TestTheNextRunReadsWhatWasUpdatedSince(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	s.fill("octo/a", 1000, 150, time.Hour)
	s.fill("octo/b", 2000, 150, time.Hour)
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a", "octo/b"), s.Client())
	log := connectortest.NewLog()
	cursor := read(t, b, log, connectortest.Sync{Stream: "issues"})
	s.advance(10 * time.Minute)
	s.issue("octo/b", 2003, 3*time.Second, "closed")
	s.issue("octo/b", 2999, 2*time.Minute, "visible late")
	pages := connectortest.Run(t, b, connectortest.Sync{Stream: "issues", Cursor: cursor})
	require.Len(t, pages, 2)
	for _, p := range pages {
		require.LessOrEqual(t, len(p.Emissions), 3, "only the overlap is read again")
		log.Commit(p.Emissions, p.At)
	}
	connectortest.RequireState(t, s.issueState(), log.State("issues"))
}

func TestAnIssueIsReadWhenItsSecondHasEnded(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
	log := connectortest.NewLog()
	s.issue("octo/a", 1, 0, "first of the second")
	cursor := read(t, b, log, connectortest.Sync{Stream: "issues"})
	require.Empty(t, log.Events("issues"))
	s.issue("octo/a", 1, 0, "last of the second")
	s.advance(10 * time.Minute)
	read(t, b, log, connectortest.Sync{Stream: "issues", Cursor: cursor})
	connectortest.RequireState(t, s.issueState(), log.State("issues"))
}

func TestReadsTheRepositoriesOfAnOrganizationAndTheNamedOnes(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	for i := range 230 {
		s.repos = append(s.repos, &thing{id: i + 1, name: fmt.Sprintf("octo/r%03d", i), updated: start.Add(-time.Hour)})
	}
	s.missing["octo/gone"] = true
	settings := s.settings("octo/r001", "octo/gone", "octo/r002")
	settings["org"] = "octo"
	b := connectortest.Open(t, github.Plugin, settings, s.Client())
	log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: "repositories"})
	connectortest.RequireState(t, s.repoState(), log.State("repositories"))

	s.repos[5].state = "more stars" // and the same updated_at
	s.advance(time.Hour)
	read(t, b, log, connectortest.Sync{Stream: "repositories"})
	connectortest.RequireState(t, s.repoState(), log.State("repositories"))

	issues := connectortest.Run(t, b, connectortest.Sync{Stream: "issues"})
	require.Len(t, issues, 231, "a page for each repository")
}

func TestSendsTheTokenToNoOtherHost(t *testing.T) {
	t.Parallel()
	s := newStub(t, "ghp_a")
	s.fill("octo/a", 1000, 350, time.Minute)
	s.linkHost = "evil.example"
	b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
	_, _, err := b.Page(t.Context(), "issues", framework.PageCall{})
	require.ErrorContains(t, err, "another host")
	require.Equal(t, framework.ClassPermanent, framework.ClassOf(err))
}

func TestTwoConnectionsKeepTheirTokensApart(t *testing.T) {
	t.Parallel()
	first, second := newStub(t, "ghp_first"), newStub(t, "ghp_second")
	first.fill("octo/a", 1000, 3, time.Minute)
	second.fill("octo/a", 2000, 4, time.Minute)
	a := connectortest.Open(t, github.Plugin, first.settings("octo/a"), first.Client())
	b := connectortest.Open(t, github.Plugin, second.settings("octo/a"), second.Client())
	for range 2 {
		logA, logB := connectortest.NewLog(), connectortest.NewLog()
		read(t, a, logA, connectortest.Sync{Stream: "issues"})
		read(t, b, logB, connectortest.Sync{Stream: "issues"})
		connectortest.RequireState(t, first.issueState(), logA.State("issues"))
		connectortest.RequireState(t, second.issueState(), logB.State("issues"))
	}
}

func TestSaysWhatKindOfFailureItWas(t *testing.T) {
	t.Parallel()
	reply := func(status int, body string, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for _, h := range header {
				name, value, _ := strings.Cut(h, ": ")
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	reset := fmt.Sprintf("X-RateLimit-Reset: %d", start.Add(90*time.Second).Unix())
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		class  framework.Class
		wait   time.Duration
		says   string
	}{
		"a revoked token":       {reply(401, `{}`), framework.ClassAuth, 0, "401"},
		"no permission":         {reply(403, `{}`), framework.ClassAuth, 0, "403"},
		"no requests left":      {reply(403, `{}`, "X-RateLimit-Remaining: 0", reset), framework.ClassTransient, 91 * time.Second, "rate limit is used up"},
		"the secondary limit":   {reply(403, `{}`, "Retry-After: 60"), framework.ClassTransient, time.Minute, "403"},
		"too many requests":     {reply(429, `{}`, "Retry-After: 5"), framework.ClassTransient, 5 * time.Second, "429"},
		"an outage":             {reply(502, `<html>`), framework.ClassTransient, 0, "502"},
		"a proxy's page":        {reply(200, `<html>`), framework.ClassTransient, 0, "decode response"},
		"an answer of no end":   {reply(200, strings.Repeat(" ", framework.MaxResponseBytes+1)), framework.ClassPermanent, 0, "larger than"},
		"a request it rejected": {reply(422, `{}`), framework.ClassPermanent, 0, "422"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t, "ghp_hidden")
			s.answer = c.answer
			b := connectortest.Open(t, github.Plugin, s.settings("octo/a"), s.Client())
			_, _, err := b.Page(t.Context(), "issues", framework.PageCall{})
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.class, framework.ClassOf(err))
			require.InDelta(t, c.wait, framework.RetryDelay(err), float64(2*time.Second))
			require.NotContains(t, err.Error(), "ghp_hidden")
		})
	}
}

func TestTakesSettingsOrNamesEveryError(t *testing.T) {
	t.Parallel()
	require.NoError(t, github.Plugin.CheckSettings(map[string]any{"repos": []string{"octo/a.b-c"}, "webhook_secret": "x"}))
	require.NoError(t, github.Plugin.CheckSettings(map[string]any{"org": "octo"}))
	require.ErrorContains(t, github.Plugin.CheckSettings(map[string]any{}), "at least one repository or an organization")
	err := github.Plugin.CheckSettings(map[string]any{"org": "a/b", "repos": []string{"octo/a", "octo", "../x/y"}})
	require.ErrorContains(t, err, `setting "org"`)
	require.ErrorContains(t, err, `setting "repos[1]" must be "owner/name"`)
	require.ErrorContains(t, err, `setting "repos[2]"`)
	require.NotContains(t, err.Error(), `"repos.0"`)
}
