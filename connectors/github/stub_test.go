package github_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stub serves issues and repositories as GitHub does: numbered pages, Link
// headers, whole seconds. Its clock moves only when a test moves it.
type stub struct {
	*httptest.Server

	mu       sync.Mutex
	now      time.Time
	token    string
	issues   map[string][]*thing // by repository
	repos    []*thing
	missing  map[string]bool
	requests []string
	linkHost string // where Link headers lead, if elsewhere
	answer   func(w http.ResponseWriter)
}

type thing struct {
	id      int
	name    string
	updated time.Time
	state   string
	pull    bool
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newStub(t *testing.T, token string) *stub {
	t.Helper()
	s := &stub{now: start, token: token, issues: map[string][]*thing{}, missing: map[string]bool{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stub) settings(repos ...string) map[string]any {
	return map[string]any{"token": s.token, "base_url": s.URL, "repos": repos, "webhook_secret": "0123456789abcdef"}
}

func (s *stub) body(i *thing, kind string) string {
	pull := ""
	if i.pull {
		pull = `,"pull_request":{"url":"x"}`
	}
	return fmt.Sprintf(`{"id":%d,"full_name":%q,"updated_at":%q,"state":%q,"kind":%q,"big":9007199254740993%s}`,
		i.id, i.name, i.updated.UTC().Format(time.RFC3339), i.state, kind, pull)
}

// issue creates or updates an issue at the stub's time less ago.
func (s *stub) issue(repo string, id int, ago time.Duration, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now.Add(-ago).Truncate(time.Second)
	for _, i := range s.issues[repo] {
		if i.id == id {
			i.updated, i.state = at, state
			return
		}
	}
	s.issues[repo] = append(s.issues[repo], &thing{id: id, updated: at, state: state})
}

func (s *stub) remove(repo string, id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issues[repo] = slices.DeleteFunc(s.issues[repo], func(i *thing) bool { return i.id == id })
}

func (s *stub) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// issueState is what the provider has, without pull requests.
func (s *stub) issueState() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := map[string]string{}
	for _, issues := range s.issues {
		for _, i := range issues {
			if !i.pull {
				state[strconv.Itoa(i.id)] = s.body(i, "issue")
			}
		}
	}
	return state
}

func (s *stub) repoState() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := map[string]string{}
	for _, r := range s.repos {
		state[strconv.Itoa(r.id)] = s.body(r, "repository")
	}
	return state
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.now.Add(100*time.Millisecond).Format(http.TimeFormat))
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	if answer := s.answer; answer != nil {
		s.answer = nil
		answer(w)
		return
	}
	s.requests = append(s.requests, r.URL.Path)
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "orgs" && parts[2] == "repos":
		s.page(w, r, s.repos, "repository")
	case parts[0] == "repos" && s.missing[parts[1]+"/"+parts[2]]:
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
	case parts[0] == "repos" && len(parts) == 4:
		s.listIssues(w, r, s.issues[parts[1]+"/"+parts[2]])
	case parts[0] == "repos" && len(parts) == 3:
		i := slices.IndexFunc(s.repos, func(i *thing) bool { return i.name == parts[1]+"/"+parts[2] })
		_, _ = fmt.Fprint(w, s.body(s.repos[i], "repository"))
	}
}

func (s *stub) listIssues(w http.ResponseWriter, r *http.Request, all []*thing) {
	q := r.URL.Query()
	if q.Get("state") != "all" || q.Get("sort") != "updated" || q.Get("direction") != "asc" {
		panic("unexpected query " + r.URL.RawQuery)
	}
	since, _ := time.Parse(time.RFC3339, q.Get("since"))
	issues := slices.DeleteFunc(slices.Clone(all), func(i *thing) bool { return i.updated.Before(since) })
	slices.SortStableFunc(issues, func(a, b *thing) int {
		return cmp.Or(a.updated.Compare(b.updated), cmp.Compare(a.id, b.id))
	})
	s.page(w, r, issues, "issue")
}

func (s *stub) page(w http.ResponseWriter, r *http.Request, things []*thing, kind string) {
	q := r.URL.Query()
	size, _ := strconv.Atoi(q.Get("per_page"))
	number := 1
	if q.Has("page") {
		number, _ = strconv.Atoi(q.Get("page"))
	}
	first := min((number-1)*size, len(things))
	last := min(first+size, len(things))
	if last < len(things) {
		q.Set("page", strconv.Itoa(number+1))
		next := url.URL{Scheme: "http", Host: cmp.Or(s.linkHost, r.Host), Path: r.URL.Path, RawQuery: q.Encode()}
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next", <%s>; rel="last"`, next.String(), next.String()))
	}
	var bodies []string
	for _, i := range things[first:last] {
		bodies = append(bodies, s.body(i, kind))
	}
	_, _ = fmt.Fprintf(w, "[%s]", strings.Join(bodies, ","))
}
