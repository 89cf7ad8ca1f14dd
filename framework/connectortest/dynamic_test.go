package connectortest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/ingest"
)

// A connector whose streams stand in the settings of a connection needs no type
// that is made at run time: every stream has the same record type (the bytes)
// and the same cursor type. What is still missing is one Plugin that makes its
// catalog from the settings; here a plugin is made for each.

type httpStream struct {
	Key      string `json:"key"`
	Path     string `json:"path"`
	Schedule string `json:"schedule"`
	ID       string `json:"id"`
}

type httpSettings struct {
	Endpoint framework.URL `json:"endpoint" required:"true"`
	Streams  []httpStream  `json:"streams"`
}

type httpCursor struct {
	Page int `json:"page"`
}

// httpPlugin is the plugin of one set of streams.
func httpPlugin(streams []httpStream) framework.Plugin {
	connector := catalog.Connector{Key: "http", Dynamic: true}
	polls := map[string]catalog.PollStream[json.RawMessage, httpCursor]{}
	for _, s := range streams {
		stream := catalog.Poll[json.RawMessage, httpCursor](s.Key, catalog.PollSpec{Schedule: s.Schedule})
		polls[s.Key] = stream
		connector.Streams = append(connector.Streams, stream)
	}
	return framework.Define(connector, func(_ context.Context, in framework.Instance[httpSettings]) (framework.Routes, error) {
		var routes framework.Routes
		for _, s := range in.Settings.Streams {
			routes = append(routes, framework.Sync(polls[s.Key], func(ctx context.Context, page framework.SyncRequest[httpCursor], out *ingest.Buffer) (framework.SyncResult[httpCursor], error) {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s%s?page=%d", in.Settings.Endpoint, s.Path, page.Cursor.Page), http.NoBody)
				if err != nil {
					return framework.SyncResult[httpCursor]{}, err
				}
				response, err := framework.Fetch(in.HTTP, request)
				if err != nil {
					return framework.SyncResult[httpCursor]{}, err
				}
				var records []json.RawMessage
				if err := response.Decode(&records); err != nil {
					return framework.SyncResult[httpCursor]{}, err
				}
				for _, r := range records {
					var members map[string]json.RawMessage
					if err := json.Unmarshal(r, &members); err != nil {
						return framework.SyncResult[httpCursor]{}, err
					}
					options := ingest.Options{IdempotencyKey: ingest.LatestKey(string(members[s.ID])), Time: response.ReadAt}
					if err := ingest.Canonical(out, polls[s.Key], s.Key, r, options); err != nil {
						return framework.SyncResult[httpCursor]{}, err
					}
				}
				return framework.SyncResult[httpCursor]{Cursor: httpCursor{page.Cursor.Page + 1}, HasMore: len(records) > 0}, nil
			}))
		}
		return routes, nil
	})
}

func TestStreamsMayComeFromSettings(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") != "0" {
			_, _ = fmt.Fprint(w, `[]`)
			return
		}
		_, _ = fmt.Fprintf(w, `[{"uid":1,"from":%q,"big":9007199254740993}]`, r.URL.Path)
	}))
	defer server.Close()
	streams := []httpStream{{"users", "/users", "@hourly", "uid"}, {"teams", "/teams", "*/5 * * * *", "uid"}}
	with := map[string]any{"endpoint": server.URL, "streams": streams}
	plugin := httpPlugin(streams)
	require.Empty(t, catalog.Validate(plugin.Connector()), "no generated catalog is asked for")
	b := connectortest.Open(t, plugin, with, server.Client())
	for _, s := range streams {
		log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: s.Key})
		require.Equal(t, map[string]string{"1": fmt.Sprintf(`{"uid":1,"from":%q,"big":9007199254740993}`, s.Path)}, log.State(s.Key))
	}
}

func TestStreamsFromSettingsAreHeldToTheSameRules(t *testing.T) {
	t.Parallel()
	var rules []string
	for _, f := range catalog.Validate(httpPlugin([]httpStream{
		{Key: "Users", Schedule: "@hourly"}, {Key: "users", Schedule: "TZ=UTC 0 0 30 2 *"}, {Key: "users", Schedule: ""},
	}).Connector()) {
		rules = append(rules, f.Rule)
	}
	require.Equal(t, []string{"SC102", "SC111", "SC107", "SC103"}, rules)
}
