package api_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/store"
)

func bearer(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

type madeToken struct {
	ID, Name, Role, Token string
	Project               *string
	ExpiresAt             *time.Time `json:"expires_at"`
	CreatedBy             string     `json:"created_by"`
}

// makeToken makes a token through the API and returns it.
func (b *bundle) makeToken(t *testing.T, request string) string {
	t.Helper()
	a := b.do(t, http.MethodPost, "/api/v1/tokens", bearer(adminToken), body(request))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	var made madeToken
	require.NoError(t, json.Unmarshal([]byte(a.body), &made))
	require.NotEmpty(t, made.Token)
	return made.Token
}

func TestATokenIsShownOnceAndWorksEverywhere(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	a := b.do(t, http.MethodPost, "/api/v1/tokens", bearer(adminToken), body(`{"name":"ci","role":"operator","project":"billing","expires_at":"2026-03-09T00:00:00Z"}`))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	var made madeToken
	require.NoError(t, json.Unmarshal([]byte(a.body), &made))
	require.Regexp(t, `^weirtok_[A-Za-z0-9_-]{43}$`, made.Token)
	require.Equal(t, "billing", *made.Project)
	require.Equal(t, api.CallerAdmin, made.CreatedBy)

	list := b.do(t, http.MethodGet, "/api/v1/tokens", bearer(adminToken))
	require.Equal(t, http.StatusOK, list.status)
	require.Contains(t, list.body, made.ID)
	require.NotContains(t, list.body, made.Token)
	require.NotContains(t, list.body, "digest")

	const mine = "/api/v1/projects/billing/streams"
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, mine, bearer(made.Token)).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, mine, header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("any:"+made.Token)))).status)
	in := b.do(t, http.MethodPost, "/login", header("Content-Type", "application/x-www-form-urlencoded"), body("token="+made.Token))
	require.Equal(t, http.StatusSeeOther, in.status)
	cookie, err := http.ParseSetCookie(in.header.Get("Set-Cookie"))
	require.NoError(t, err)
	session := header("Cookie", cookie.Name+"="+cookie.Value)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, mine, session).status)
	page := b.do(t, http.MethodGet, "/", session)
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, "stripe-us")
	require.NotContains(t, page.body, "stripe-eu")

	// Another spelling of the same bytes is no token.
	last := made.Token[len(made.Token)-1]
	for _, other := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=" {
		if byte(other) != last {
			b.office.Advance(4 * time.Second)
			require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, mine, bearer(made.Token[:len(made.Token)-1]+string(other))).status, string(other))
		}
	}
	for _, other := range []string{made.Token + "=", " " + made.Token, strings.ToUpper(made.Token), made.Token[:len(made.Token)-1], strings.TrimPrefix(made.Token, "weirtok_")} {
		b.office.Advance(4 * time.Second)
		require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, mine, bearer(other)).status, other)
	}

	revoked := b.do(t, http.MethodDelete, "/api/v1/tokens/ci", bearer(adminToken))
	require.Equal(t, http.StatusOK, revoked.status, revoked.body)
	require.NotContains(t, revoked.body, made.Token)
	require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, mine, bearer(made.Token)).status)
	require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, mine, session).status, "its session ends with it")
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodGet, "/", session).status)
	require.Equal(t, "unknown_token", b.do(t, http.MethodDelete, "/api/v1/tokens/ci", bearer(adminToken)).problem(t).Code)
}

func TestATokenAndItsSessionsExpire(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	token := b.makeToken(t, `{"name":"short","role":"viewer","expires_at":"2026-03-02T13:20:00Z"}`)
	in := b.do(t, http.MethodPost, "/login", header("Content-Type", "application/x-www-form-urlencoded"), body("token="+token))
	cookie, err := http.ParseSetCookie(in.header.Get("Set-Cookie"))
	require.NoError(t, err)
	b.office.Advance(time.Hour - time.Second)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", bearer(token)).status)
	b.office.Advance(time.Second)
	require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, "/api/v1/streams", bearer(token)).status)
	require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, "/api/v1/streams", header("Cookie", cookie.Name+"="+cookie.Value)).status)
	require.Contains(t, b.do(t, http.MethodGet, "/api/v1/tokens", bearer(adminToken)).body, `"expired":true`)
}

func TestWrongTokenRequestsAreRefusedWhole(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	b.makeToken(t, `{"name":"ci","role":"viewer"}`)
	for request, want := range map[string]string{
		``:                                "invalid_body",
		`[]`:                              "invalid_body",
		`{"name":"a","role":"viewer"} {}`: "invalid_body",
		`{"name":"a","role":"viewer","role":"admin"}`:  "invalid_body",
		`{"name":"a","role":"viewer","Role":"admin"}`:  "invalid_body",
		`{"name":"a","role":"viewer","owner":"x"}`:     "invalid_body",
		`{"name":"ci","role":"viewer"}`:                "name_taken",
		`{"name":"admin token","role":"viewer"}`:       "invalid_fields",
		`{"name":"a\nb","role":"viewer"}`:              "invalid_fields",
		`{"name":"a","role":"public"}`:                 "invalid_fields",
		`{"name":"` + strings.Repeat("x", 5000) + `"}`: "body_too_large",
	} {
		a := b.do(t, http.MethodPost, "/api/v1/tokens", bearer(adminToken), body(request))
		require.Equal(t, want, a.problem(t).Code, request)
	}
	a := b.do(t, http.MethodPost, "/api/v1/tokens", bearer(adminToken), body(`{"name":"","role":"root","project":"../x","expires_at":"2020-01-01T00:00:00Z"}`))
	p := a.problem(t)
	require.Len(t, p.Errors, 4, "all at once")
	list, err := b.office.Tokens(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// A token that is revoked at another process ends here within seconds, and a
// flood of wrong ones asks the store seldom.
func TestTokensAreReadFromTheStoreNowAndThen(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	token := b.makeToken(t, `{"name":"ci","role":"viewer"}`)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", bearer(token)).status)
	list, err := b.office.Tokens(t.Context())
	require.NoError(t, err)
	_, err = b.office.RevokeToken(t.Context(), list[0].ID, b.office.Now())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.do(t, http.MethodGet, "/api/v1/streams", bearer(token)).status != http.StatusOK
	}, time.Minute, 50*time.Millisecond)

	before, began := b.office.TokenReads(), time.Now()
	wrong := "weirtok_" + strings.Repeat("A", 43)
	for range 200 {
		b.do(t, http.MethodGet, "/api/v1/streams", bearer(wrong))
	}
	require.LessOrEqual(t, b.office.TokenReads()-before, int(time.Since(began)/(250*time.Millisecond))+2)
}

func TestNobodyComesInWhileTheTokensCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	b.office.Break(errDisk)
	a := b.do(t, http.MethodGet, "/metrics", bearer("weirtok_"+strings.Repeat("A", 43)))
	require.Equal(t, http.StatusNotFound, a.status)
	a = b.do(t, http.MethodGet, "/api/v1/tokens", bearer("weirtok_"+strings.Repeat("A", 43)))
	require.Equal(t, http.StatusInternalServerError, a.problem(t).Status)
	require.NotContains(t, a.body, "secret-path")
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/healthz", bearer("weirtok_"+strings.Repeat("A", 43))).status)
}

func TestAStatedTokenCountsAlsoWhereNoneIsNeeded(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	a := b.do(t, http.MethodPost, "/api/v1/tokens", body(`{"name":"ci","role":"viewer"}`))
	require.Equal(t, http.StatusCreated, a.status)
	var made madeToken
	require.NoError(t, json.Unmarshal([]byte(a.body), &made))
	require.Equal(t, api.CallerLoopback, made.CreatedBy)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", bearer(made.Token)).status)
	require.Equal(t, "forbidden", b.do(t, http.MethodGet, "/api/v1/tokens", bearer(made.Token)).problem(t).Code)
	require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, "/api/v1/streams", bearer("wrong")).status)
	require.Equal(t, http.StatusOK, b.get(t, "/api/v1/tokens").status)
}

func TestWhatPeopleDoIsRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	viewer := b.makeToken(t, `{"name":"eyes","role":"viewer"}`)
	operator := b.makeToken(t, `{"name":"hands","role":"operator","project":"default"}`)
	b.do(t, http.MethodGet, "/api/v1/streams", bearer(viewer))
	require.Equal(t, http.StatusForbidden, b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/pause", bearer(viewer)).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/pause", bearer(operator)).status)
	for range 3 {
		require.Equal(t, http.StatusForbidden, b.do(t, http.MethodGet, "/api/v1/audit", bearer(viewer)).status)
	}
	b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/nothing/pause?token=canary-query", bearer(operator), body("canary-body"))
	b.do(t, http.MethodPost, "/api/v1/projects/billing/connections/stripe-us/pause", bearer(operator))
	b.office.OnPage = func(api.PageCall) (api.PageResult, error) { panic("inside") }
	b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/customers", bearer(operator))
	b.do(t, http.MethodPost, "/login", header("Content-Type", "application/x-www-form-urlencoded"), body("token="+operator))

	var list struct {
		Entries []struct {
			Actor, Role, Address, Action, Project, Connection, Detail string
			Status                                                    int
		}
		Next *string
	}
	a := b.do(t, http.MethodGet, "/api/v1/audit?limit=100", bearer(adminToken))
	a.decode(t, &list)
	require.NotContains(t, a.body, "canary")
	require.NotContains(t, a.body, viewer)
	var got []string
	for _, e := range list.Entries {
		require.Equal(t, "127.0.0.1", e.Address)
		got = append(got, strings.Join([]string{e.Actor, e.Role, e.Action, e.Project, e.Connection, http.StatusText(e.Status)}, "|"))
	}
	prefix := "POST /api/v1/connections/{connection}"
	require.Equal(t, []string{
		"hands|operator|log in|default||See Other",
		"hands|operator|" + prefix + "/sync/{stream}|default|demo|Internal Server Error",
		"hands|operator|POST /api/v1/projects/{project}/connections/{connection}/pause|billing|stripe-us|Not Found",
		"hands|operator|" + prefix + "/streams/{stream}/pause|default|demo|Bad Request",
		"eyes|viewer|GET /api/v1/audit|||Forbidden",
		"hands|operator|" + prefix + "/streams/{stream}/pause|default|demo|OK",
		"eyes|viewer|" + prefix + "/streams/{stream}/pause|default|demo|Forbidden",
		"admin token|admin|POST /api/v1/tokens|||Created",
		"admin token|admin|POST /api/v1/tokens|||Created",
	}, got)
	require.Contains(t, list.Entries[5].Detail, "stream orders")
	require.Contains(t, list.Entries[7].Detail, "named hands, role operator, project default")

	list.Next, list.Entries = nil, nil
	b.do(t, http.MethodGet, "/api/v1/audit?limit=2&actor=hands", bearer(adminToken)).decode(t, &list)
	require.Len(t, list.Entries, 2)
	require.NotNil(t, list.Next)
	first := list.Entries[1].Action
	b.do(t, http.MethodGet, "/api/v1/audit?limit=2&actor=hands&page_token="+*list.Next, bearer(adminToken)).decode(t, &list)
	require.Len(t, list.Entries, 2)
	require.NotEqual(t, first, list.Entries[0].Action)
	entries, err := b.office.AuditEntries(t.Context(), store.AuditQuery{}, 100)
	require.NoError(t, err)
	require.Len(t, entries, 9)
}
