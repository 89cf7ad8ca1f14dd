package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	httpconnector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/sink"
)

func parseSinks(t *testing.T, text string) (*config.File, error) {
	t.Helper()
	return config.Parse("weir.yaml", []byte(text), func(string) (string, bool) { return "", false }, append(plugins(), httpconnector.Plugin))
}

const twoShops = `connections:
  - {name: one, connector: acme, config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
  - {name: two, connector: acme, streams: [customers], config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
`

func TestASinkSubscribesByIdKeyAndGlob(t *testing.T) {
	t.Parallel()
	f, err := parseSinks(t, twoShops+`
  - {name: a, class: http, type: sink, streams: [one.customers, events, "*.cust*"], start: latest, config: {endpoint: "https://a.example/"}}
  - {name: b, class: http, type: sink, topics: "one.customers, two.customers", config: {fullUrl: "https://b.example/", batch.max_bytes: 10}}
  - {name: c, class: http, type: sink, stream: one.events, config: {endpoint: "https://c.example/"}}
`)
	require.NoError(t, err)
	require.Empty(t, f.Warnings)
	require.Equal(t, []string{"one.customers", "events", "*.cust*"}, f.Connections[2].Streams)
	require.Equal(t, sink.Latest, f.Connections[2].Start)
	require.Equal(t, []string{"one.customers", "two.customers"}, f.Connections[3].Streams)
	require.Equal(t, map[string]any{"endpoint": "https://b.example/", "batch": map[string]any{"max_bytes": 10}}, f.Connections[3].Settings)
	require.Equal(t, []string{"one.events"}, f.Connections[4].Streams)

	known := []config.StreamRef{{Connection: "one", Stream: "customers"}, {Connection: "one", Stream: "events"}, {Connection: "two", Stream: "customers", Former: []string{"clients"}}}
	chosen, errs := config.Subscribed([]string{"events", "*.cust*", "two.clients"}, known)
	require.Equal(t, []config.StreamRef{known[0], known[1], known[2]}, chosen)
	require.Equal(t, []error{nil, nil, nil}, errs)
	chosen, errs = config.Subscribed([]string{`/t.*\.customers|one/`, "/nobody/", "/(/"}, known)
	require.Equal(t, []config.StreamRef{known[2]}, chosen, "a regular expression matches whole ids")
	require.NoError(t, errs[0])
	require.NoError(t, errs[1], "it takes later streams")
	require.ErrorContains(t, errs[2], "is no regular expression")
}

func TestProblemsOfASinkHaveTheirPlaceAndRule(t *testing.T) {
	t.Parallel()
	_, err := parseSinks(t, twoShops+`  - name: out
    class: http
    type: sink
    streams:
      - customers
      - one.customer
      - nothing
      - one.[
    start: middle
    config:
      fullUrl: https://a.example/
      batch.max_events: 0
      timeout_seconds: 0
      exception.strategy: IGNORE
      headers: [{name: Host, value: x}]
  - {name: bad, connector: acme, type: sink, config: {}}
  - {name: worse, connector: acme, start: latest, config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
`)
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	var rules []string
	for _, p := range problems {
		rules = append(rules, p.Rule)
	}
	require.Equal(t, `weir.yaml:8:9: SC602 connection "out": stream "customers" is one of several connections: write one.customers or two.customers
weir.yaml:9:9: SC602 connection "out": no connection of the project has a stream "one.customer"; did you mean "one.customers"?
weir.yaml:10:9: SC602 connection "out": no connection of the project has a stream "nothing"; there are one.customers, one.events, two.customers
weir.yaml:11:9: SC602 connection "out": stream "one.[" is no glob; * stands for any text, ? for one character
weir.yaml:12:12: start "middle" is unknown; use earliest or latest
weir.yaml:15:7: SC601 connection "out": setting "batch.max_events" must be at least 1
weir.yaml:16:7: SC601 connection "out": setting "timeout_seconds" must be at least 0.1
weir.yaml:17:7: connection "out": setting "exception.strategy" must be PROGRESS_BACK_OFF_DROP_MESSAGE, PROGRESS_BACK_OFF_STOP_TASK, DROP_MESSAGE or STOP_TASK
weir.yaml:18:18: connection "out": setting "headers[0].name" may not be set: Host is written by Weir itself
weir.yaml:19:40: connector "acme" is no sink; use one that is, such as http
weir.yaml:20:43: topics and start belong to type: sink; a source selects its streams with streams`, problems.Error())
	require.Equal(t, []string{"SC602", "SC602", "SC602", "SC602", "", "SC601", "SC601", "", "", "", ""}, rules)
}

// A file that is read at the start knows of itself alone; one that arrives where
// others are knows of those, too.
func TestASinkReadsStreamsThatStandElsewhere(t *testing.T) {
	t.Parallel()
	file := func(stream string) string {
		return twoShops + `  - {name: out, class: http, type: sink, streams: ["` + stream + `"], config: {endpoint: "https://a.example/"}}` + "\n"
	}
	_, err := parseSinks(t, file("shop.orders"))
	require.ErrorContains(t, err, `; where connection "shop" is not in this file, write "shop.orders*"`)
	_, err = parseSinks(t, file("shop.orders*"))
	require.NoError(t, err)
	_, err = parseSinks(t, file("one.orders"))
	require.NotContains(t, err.Error(), "not in this file", "it is in this file")

	in := config.Arriving{Lookup: func(string) (string, error) { return "", nil }, Streams: func(project string) []config.StreamRef {
		if project != "default" {
			return nil
		}
		return []config.StreamRef{{Connection: "shop", Stream: "orders"}, {Connection: "two", Stream: "events"}}
	}}
	arriving := func(stream string) error {
		_, err := config.ParseConnections("weir.yaml", []byte(file(stream)), in, append(plugins(), httpconnector.Plugin))
		return err
	}
	require.NoError(t, arriving("shop.orders"))
	require.NoError(t, arriving("one.customers"))
	require.ErrorContains(t, arriving("two.events"), `has a stream "two.events"`, "the file says which streams it has")
	require.ErrorContains(t, arriving("nobody.orders"), `; make connection "nobody" first`)
}

func TestAnInsecureOrIdleSinkIsAWarning(t *testing.T) {
	t.Parallel()
	f, err := parseSinks(t, `connections:
  - name: out
    class: http
    type: sink
    config:
      endpoint: http://receiver.example/
`)
	require.NoError(t, err)
	require.Len(t, f.Warnings, 2)
	require.Contains(t, f.Warnings[0].Message, "no streams")
	require.Equal(t, "SC603", f.Warnings[1].Rule)
	require.Equal(t, 6, f.Warnings[1].Line)
}
