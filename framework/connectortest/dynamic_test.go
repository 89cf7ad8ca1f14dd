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
// and the same cursor type.

type listStream struct {
	Key      string `json:"key"`
	Path     string `json:"path"`
	Schedule string `json:"schedule"`
	ID       string `json:"id"`
}

type listSettings struct {
	Endpoint framework.URL `json:"endpoint" required:"true"`
	Streams  []listStream  `json:"streams"`
}

type listCursor struct {
	Page int `json:"page"`
}

// declare returns the streams of settings.
func declare(s listSettings) (streams []catalog.PollStream[json.RawMessage, listCursor]) {
	for _, one := range s.Streams {
		streams = append(streams, catalog.Poll[json.RawMessage, listCursor](one.Key, catalog.PollSpec{Schedule: one.Schedule}))
	}
	return streams
}

var listPlugin = framework.DefineDynamic(catalog.Connector{Key: "list", Dynamic: true},
	func(s listSettings) (streams []catalog.Stream, _ []catalog.Endpoint, _ error) {
		for _, stream := range declare(s) {
			streams = append(streams, stream)
		}
		return streams, nil, nil
	},
	func(_ context.Context, in framework.Instance[listSettings]) (routes framework.Routes, _ error) {
		for i, stream := range declare(in.Settings) {
			l := list{in.HTTP, string(in.Settings.Endpoint), in.Settings.Streams[i], stream}
			routes = append(routes, framework.Sync(stream, l.page))
		}
		return routes, nil
	})

// list reads one stream.
type list struct {
	http     *http.Client
	endpoint string
	settings listStream
	stream   catalog.PollStream[json.RawMessage, listCursor]
}

func (l list) page(ctx context.Context, in framework.SyncRequest[listCursor], out *ingest.Buffer) (framework.SyncResult[listCursor], error) {
	none := framework.SyncResult[listCursor]{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s%s?page=%d", l.endpoint, l.settings.Path, in.Cursor.Page), http.NoBody)
	if err != nil {
		return none, err
	}
	response, err := framework.Fetch(l.http, request)
	if err != nil {
		return none, err
	}
	var records []json.RawMessage
	if err := response.Decode(&records); err != nil {
		return none, err
	}
	for _, r := range records {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(r, &members); err != nil {
			return none, err
		}
		options := ingest.Options{IdempotencyKey: ingest.LatestKey(string(members[l.settings.ID])), Time: response.ReadAt}
		if err := ingest.Canonical(out, l.stream, l.stream.Key(), r, options); err != nil {
			return none, err
		}
	}
	return framework.SyncResult[listCursor]{Cursor: listCursor{in.Cursor.Page + 1}, HasMore: len(records) > 0}, nil
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
	streams := []listStream{{"users", "/users", "@hourly", "uid"}, {"teams", "/teams", "*/5 * * * *", "uid"}}
	with := map[string]any{"endpoint": server.URL, "streams": streams}
	declared, err := listPlugin.Declare(with)
	require.NoError(t, err)
	require.Len(t, declared.Streams, 2)
	require.Empty(t, catalog.Validate(declared), "no generated catalog is asked for")
	b := connectortest.Open(t, listPlugin, with, server.Client())
	for _, s := range streams {
		log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: s.Key})
		require.Equal(t, map[string]string{"1": fmt.Sprintf(`{"uid":1,"from":%q,"big":9007199254740993}`, s.Path)}, log.State(s.Key))
	}
}

func TestStreamsFromSettingsAreHeldToTheSameRules(t *testing.T) {
	t.Parallel()
	_, err := listPlugin.Declare(map[string]any{"endpoint": "https://x.example", "streams": []listStream{
		{Key: "Users", Schedule: "@hourly"}, {Key: "users", Schedule: "TZ=UTC 0 0 30 2 *"}, {Key: "users", Schedule: ""},
	}})
	var findings framework.CatalogErrors
	require.ErrorAs(t, err, &findings)
	rules := make([]string, len(findings))
	for i, f := range findings {
		rules[i] = f.Rule
	}
	require.Equal(t, []string{"SC102", "SC111", "SC107", "SC103"}, rules)
	require.Equal(t, err, listPlugin.CheckSettings(map[string]any{"endpoint": "https://x.example", "streams": []listStream{
		{Key: "Users", Schedule: "@hourly"}, {Key: "users", Schedule: "TZ=UTC 0 0 30 2 *"}, {Key: "users", Schedule: ""},
	}}))
}

func TestOnlyDynamicConnectorsTakeStreamsFromSettings(t *testing.T) {
	t.Parallel()
	static := framework.DefineDynamic(catalog.Connector{Key: "list"}, func(listSettings) ([]catalog.Stream, []catalog.Endpoint, error) { return nil, nil, nil },
		func(context.Context, framework.Instance[listSettings]) (framework.Routes, error) { return nil, nil })
	dynamic := framework.Define(catalog.Connector{Key: "list", Dynamic: true},
		func(context.Context, framework.Instance[listSettings]) (framework.Routes, error) { return nil, nil })
	for _, p := range []framework.Plugin{static, dynamic} {
		require.ErrorContains(t, p.CheckSettings(map[string]any{"endpoint": "https://x.example"}), "Dynamic: true and framework.DefineDynamic belong together")
	}
}
