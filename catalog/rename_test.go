package catalog_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

func TestARenameMustBePossible(t *testing.T) {
	t.Parallel()
	webhook := func(key, from string, before ...string) catalog.Stream {
		return catalog.Webhook[string](key, catalog.WebhookSpec{RenamedFrom: from, FormerKeys: before})
	}
	poll := catalog.Poll[string, string]("polled", catalog.PollSpec{Schedule: "@hourly", RenamedFrom: "read"})
	require.Equal(t, "read", poll.Declaration().RenamedFrom)
	for _, c := range []struct {
		rule    string
		streams []catalog.Stream
	}{
		{"", []catalog.Stream{webhook("a", ""), webhook("b", "c"), poll}},
		{"SC103", []catalog.Stream{webhook("a", ""), webhook("b", "a")}},
		{"SC103", []catalog.Stream{webhook("a", "c"), webhook("b", "c")}},
		{"SC103", []catalog.Stream{webhook("a", "a")}},
		{"SC102", []catalog.Stream{webhook("a", "No Key")}},
		{"", []catalog.Stream{webhook("a", "b", "c", "d"), webhook("e", "f", "g")}},
		{"SC103", []catalog.Stream{webhook("a", "b", "b")}},
		{"SC103", []catalog.Stream{webhook("a", "b", "a")}},
		{"SC103", []catalog.Stream{webhook("a", "b", "c"), webhook("c", "")}},
		{"SC103", []catalog.Stream{webhook("a", "b", "c"), webhook("d", "c")}},
		{"SC102", []catalog.Stream{webhook("a", "b", "No Key")}},
	} {
		var found []string
		inbox := catalog.Receive("in", catalog.EndpointSpec{Auth: catalog.AuthGitHub})
		for _, f := range catalog.Validate(catalog.Connector{Key: "acme", Streams: c.streams, Endpoints: []catalog.Endpoint{inbox}}) {
			found = append(found, f.Rule)
			require.True(t, strings.HasPrefix(f.Message, "stream"), f.Message)
		}
		if c.rule == "" {
			require.Empty(t, found)
		} else {
			require.Contains(t, found, c.rule)
		}
	}
}
