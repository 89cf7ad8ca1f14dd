package config_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
)

type feedSettings struct {
	Stream  string `json:"stream"`
	Streams []struct {
		Key      string `json:"key" required:"true"`
		Schedule string `json:"schedule" default:"@hourly"`
	} `json:"streams"`
	Headers []struct {
		Value framework.Secret `json:"value" required:"true"`
	} `json:"headers"`
	Inbox struct {
		Secret framework.Secrets `json:"secret"`
	} `json:"inbox"`
}

func feedPlugins() []framework.Plugin {
	return append(plugins(), framework.DefineDynamic(catalog.Connector{Key: "feed", Dynamic: true},
		func(s feedSettings) (streams []catalog.Stream, endpoints []catalog.Endpoint, err error) {
			for _, one := range s.Streams {
				streams = append(streams, catalog.Poll[record, string](one.Key, catalog.PollSpec{Schedule: one.Schedule}))
			}
			if s.Stream != "" {
				streams = append(streams, catalog.Webhook[record](s.Stream))
				endpoints = append(endpoints, catalog.Receive("in", catalog.EndpointSpec{Auth: catalog.AuthBearer, SecretSetting: "inbox.secret"}))
			}
			return streams, endpoints, nil
		},
		func(context.Context, framework.Instance[feedSettings]) (framework.Routes, error) { return nil, nil }))
}

func parseFeed(text string) (*config.File, error) {
	return config.Parse("weir.yaml", []byte(text), os.LookupEnv, feedPlugins())
}

func TestStreamsOfSettingsAreCheckedWithTheFile(t *testing.T) {
	t.Parallel()
	_, err := parseFeed(`connections:
  - name: one
    class: feed
    streams: [teams, tems]
    config:
      streams:
        - key: Users
        - {key: teams, schedule: "61 * * * *"}
        - key: all
        - key: teams
  - name: two
    connector: feed
    class: acme
    config:
      headers:
        - value: x
        - valeu: ${THERE_IS_NO_SUCH}
        - value: ${THERE_IS_NO_SUCH_2}
  - name: three
    connector: feed
    stream: inbox
    streams: [inbox, outbox]
    config: {inbox: {secret: ""}}
  - name: four
    connector: feed
    stream: a
    config: {stream: b}
`)
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	got := make([]string, len(problems))
	for i, p := range problems {
		got[i] = p.String()
	}
	require.Equal(t, []string{
		`weir.yaml:7:16: SC102 connection "one": stream key "Users" does not match ^[a-z][a-z0-9_]{0,62}$; use lower_snake_case of 1 to 63 characters`,
		`weir.yaml:8:17: SC110 connection "one": stream "teams": minute field: "61" is not between 0 and 59`,
		`weir.yaml:8:17: SC103 connection "one": stream key "teams" is declared twice, and only one can have it; give each stream its own key`,
		`weir.yaml:9:16: SC108 connection "one": stream key "all" is reserved, it stands for every stream of a connection; choose another`,
		`weir.yaml:13:12: class and connector name two connectors; they are the same thing, keep one`,
		`weir.yaml:17:11: connection "two": setting "headers[1].valeu" is unknown; did you mean "value"?`,
		`weir.yaml:17:11: connection "two": setting "headers[1].value" is required`,
		`weir.yaml:17:18: config.headers[1].valeu: environment variable THERE_IS_NO_SUCH is not set`,
		`weir.yaml:18:18: config.headers[2].value: environment variable THERE_IS_NO_SUCH_2 is not set`,
		`weir.yaml:22:22: connector "feed" has no stream "outbox"`,
		`weir.yaml:23:13: connection "three": setting "inbox.secret" is required: endpoint "in" verifies its deliveries with it`,
		`weir.yaml:26:13: stream of the connection and of its config differ; keep one`,
		`weir.yaml:27:13: connection "four": setting "inbox.secret" is required: endpoint "in" verifies its deliveries with it`,
	}, got)
	require.Equal(t, "SC102", problems[0].Rule)
}

func TestFindingsThatRefuseNothingAreWarnings(t *testing.T) {
	t.Parallel()
	f, err := parseFeed(`connections:
  - name: one
    class: feed
    config:
      streams:
        - key: teams
          schedule: "*/7 * * * *"
  - name: two
    connector: acme
    stream: customers
    config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
`)
	require.NoError(t, err)
	require.Equal(t, "feed", f.Connections[0].Connector)
	require.Equal(t, []string{"customers"}, f.Connections[1].Streams)
	require.Len(t, f.Warnings, 1)
	require.Contains(t, f.Warnings[0].String(), `weir.yaml:6:16: SC11`)
}
