package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatWasRecordedOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"id":"1"},{"id":"2"}]`)
	}))
	t.Cleanup(provider.Close)
	p := startIn(t, configured(t, ""), "run")
	const api = "/api/v1/connections/"
	body := `{"type":"source","connector":"http","stream":"orders","config":{"endpoint":"` + provider.URL + `","schedule":"0 0 1 1 *"}}`
	events := func(name string) (status, n int) {
		var list struct{ Events []any }
		status = get(t, p.url+api+name+"/streams/orders/events", &list)
		return status, len(list.Events)
	}
	create := func() (id string) {
		status, v, _ := p.ask(t, http.MethodPost, api+"shop", body)
		require.Equal(t, http.StatusOK, status, v)
		require.Eventually(t, func() bool {
			_, n := events("shop")
			return n == 2
		}, 30*time.Second, 20*time.Millisecond)
		return fmt.Sprint(v["id"])
	}
	names := func(query string) (out []string) {
		var list struct {
			Connections []struct{ ID, Name, State string }
		}
		require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/connections?"+query, &list))
		for _, c := range list.Connections {
			out = append(out, c.Name+" "+c.State)
		}
		return out
	}

	first := create()
	status, v, _ := p.ask(t, http.MethodDelete, api+"shop", "")
	require.Equal(t, http.StatusOK, status, v)
	require.Equal(t, "deleted", v["state"])
	require.Empty(t, names(""), "its name is free")
	require.Equal(t, []string{first + " deleted"}, names("state=deleted"))
	status, n := events(first)
	require.Equal(t, []int{http.StatusOK, 2}, []int{status, n}, "what was recorded is read under its id")
	for _, path := range []string{"/resume", "/deploy", "/rollback?revision=1"} {
		status, v, _ = p.ask(t, http.MethodPost, api+first+path, "")
		require.Equal(t, http.StatusConflict, status, "%s: %v", path, v)
	}

	second := create()
	require.NotEqual(t, first, second)
	status, v, _ = p.ask(t, http.MethodDelete, api+"shop?events=delete&dead_letters=delete", "")
	require.Equal(t, http.StatusOK, status, v)
	status, _ = events(second)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, []string{first + " deleted"}, names("state=deleted"), "the first is still kept")
	status, v, _ = p.ask(t, http.MethodDelete, api+first+"?events=delete&dead_letters=delete", "")
	require.Equal(t, http.StatusOK, status, v)
	status, _ = events(first)
	require.Equal(t, http.StatusNotFound, status)
	require.Empty(t, names("state=deleted"))
	status, v, _ = p.ask(t, http.MethodDelete, api+"shop", "")
	require.Equal(t, http.StatusNotFound, status, v)
	require.NoError(t, p.interrupt(t))
}

func TestListsOfAProjectAreFiltered(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/projects", `{"name":"eu","description":"customers in Europe"}`)
	require.Equal(t, http.StatusOK, status, v)
	for _, one := range []string{
		`{"name":"a","type":"sink","connector":"http","labels":{"team":"pay","tier":"1"},"config":{"endpoint":"https://a.example/"}}`,
		`{"name":"b","type":"sink","connector":"http","labels":{"team":"pay"},"enabled":false,"config":{"endpoint":"https://b.example/"}}`,
		`{"name":"c","type":"source","connector":"http","stream":"s","labels":{"team":"core"},"enabled":false,"config":{"endpoint":"https://c.example/"}}`,
		`{"name":"d","type":"webhook","fullUrl":"https://d.example/","deployToWorker":false}`,
	} {
		status, v, _ = p.ask(t, http.MethodPost, "/api/v1/projects/eu/connections", one)
		require.Equal(t, http.StatusOK, status, v)
	}
	for query, want := range map[string][]string{
		"":                              {"a", "b", "c", "d"},
		"type=sink":                     {"a", "b", "d"},
		"type=source":                   {"c"},
		"type=trigger":                  nil,
		"type=webhook":                  {"d"},
		"label=team=pay":                {"a", "b"},
		"label=team=pay&label=tier=1":   {"a"},
		"state=disabled":                {"b", "c"},
		"state=draft":                   {"d"},
		"label=team=pay&state=disabled": {"b"},
		"label=team=nobody":             nil,
	} {
		var got []string
		for place, pages := "", 0; pages < 10; pages++ { // one a page
			var list struct {
				Connections []struct{ Name string }
				Next        *string
			}
			require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/projects/eu/connections?limit=1&"+query+place, &list), query)
			for _, c := range list.Connections {
				got = append(got, c.Name)
			}
			if list.Next == nil {
				break
			}
			place = "&page_token=" + *list.Next
		}
		require.Equal(t, want, got, query)
	}
	var list struct{ Connections []any }
	require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/connections", &list))
	require.Empty(t, list.Connections, "of another project")
	status, v, _ = p.ask(t, http.MethodDelete, "/api/v1/projects/eu", "")
	require.Equal(t, http.StatusConflict, status, v)
	for _, name := range []string{"a", "b", "c", "d"} {
		status, v, _ = p.ask(t, http.MethodDelete, "/api/v1/projects/eu/connections/"+name+"?events=delete&dead_letters=delete", "")
		require.Equal(t, http.StatusOK, status, v)
	}
	status, v, _ = p.ask(t, http.MethodDelete, "/api/v1/projects/eu", "")
	require.Equal(t, http.StatusOK, status, v)
	require.NoError(t, p.interrupt(t))
}
