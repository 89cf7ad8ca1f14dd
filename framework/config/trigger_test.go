package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/demo"
	httpconnector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/connectors/stripe"
	"github.com/weirhq/weir/framework/config"
)

func parseTriggers(t *testing.T, text string) (*config.File, error) {
	t.Helper()
	return config.Parse("weir.yaml", []byte(text), func(string) (string, bool) { return "", false }, append(plugins(), httpconnector.Plugin, demo.Plugin, stripe.Plugin))
}

const shop = `connections:
  - {name: shop, connector: demo, config: {base_url: "https://shop.example", webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
  - {name: out, class: http, type: sink, streams: [shop.orders], config: {endpoint: "https://a.example/"}}
`

func TestATriggerIsReadUnderTheNamesOfItsDocument(t *testing.T) {
	t.Parallel()
	f, err := parseTriggers(t, shop+`
  - {name: hook, type: trigger, config: {path: /github-webhook, method: post, auth_token: null, action: ingest}}
  - {name: process, type: trigger, class: http, config: {path: /api/v1/process, method: POST, auth_token: a-secret-api-key-of-some-length, action: sync, target: shop}}
  - {name: fill, type: trigger, config: {path: /api/v1/process, method: PUT, auth: github, webhook_secret: a-secret-of-some-length, action: backfill, target: pay.customers}}
  - {name: pay, connector: stripe, config: {api_key: sk_test_1, webhook_secret: whsec_test_of_some_length}}
  - {name: again, type: trigger, config: {path: /again, method: "*", auth_token: [one-token-of-some-length, another-token-of-some-length], action: redeliver, target: out}}
  - {name: log, class: http, type: sink, streams: [hook.events], config: {endpoint: "https://a.example/"}}
`)
	require.NoError(t, err)
	require.Len(t, f.Connections, 8)
	hook := f.Connections[2]
	require.Equal(t, []any{"http", "trigger"}, []any{hook.Connector, hook.Type})
	require.Equal(t, map[string]any{"path": "/github-webhook", "method": "POST", "public": true, "action": "ingest"}, hook.Settings)
	require.Len(t, f.Warnings, 1)
	require.Contains(t, f.Warnings[0].Message, `"public" is set`)
}

func TestProblemsOfATriggerHaveTheirPlaceAndRule(t *testing.T) {
	t.Parallel()
	_, err := parseTriggers(t, shop+`
  - name: a
    type: trigger
    config: {path: hook, method: POST, action: synk}
  - name: b
    type: trigger
    streams: [x]
    connector: demo
    config: {path: "/a/../b", method: GET, auth_token: "", auth: none, action: sync}
  - name: c
    type: trigger
    config:
      path: /c
      method: POST
      auth_token: null
      action: shop.reindex
  - {name: d, type: trigger, config: {path: /c, method: "*", auth_token: null, action: backfill, target: shop}}
  - {name: e, type: trigger, config: {path: /e, method: GET, auth_token: null, action: sync, target: shop.order}}
  - {name: k, type: trigger, config: {path: /k, method: GET, auth_token: null, action: backfill, target: shop.orders}}
  - {name: l, type: trigger, config: {path: /l, method: GET, auth_token: null, action: sync, target: shop.order_events}}
  - {name: f, type: trigger, config: {path: /f, method: GET, auth_token: null, action: redeliver, target: shop}}
  - {name: g, type: trigger, config: {path: /g, method: GET, auth_token: null, action: ingest, target: x}}
  - {name: j, type: trigger, config: {path: /j, method: GET, auth_token: null, action: ingest, colour: red}}
  - {name: i, type: trigger, config: {path: /i, method: FETCH, auth_token: null, action: sync}}
  - {name: h, type: trigger, config: {path: /h, method: POST, auth: github, action: ingest}}
`)
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	text := err.Error()
	for _, part := range []string{
		`"path" must begin with a slash`, `"method" must be GET, HEAD, POST`, `"auth_token" is required: it says who may call`, `"action" is no action`, `did you mean "sync"`,
		`"path" has an empty segment, . or ..`, `"auth_token" and auth and public exclude each other`, `"auth_token" is empty`, `"auth" cannot be none`, `"target" is required`,
		"a trigger has no streams", `a trigger has no connector "demo"`,
		`weir.yaml:19:7: SC604 connection "c": setting "action" no connection of the project has the action shop.reindex`,
		`SC605 connection "d": * /c is the address of connection "c" too`, "a backfill reads one stream: write shop.stream",
		`names no stream; did you mean "shop.orders"`, "names no sink of the project", `SC604 connection "l": setting "target" has only what webhooks bring`,
		`SC604 connection "k": setting "target" cannot be asked for a range: the sync route of stream "orders" reads neither from nor to`,
		`"target" belongs to sync, backfill and redeliver`, `"colour" is unknown`,
		`connection "h": setting "webhook_secret" is required`,
	} {
		require.Contains(t, text, part)
	}
}
