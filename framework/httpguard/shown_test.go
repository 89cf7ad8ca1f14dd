package httpguard_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/httpguard"
)

func TestAddressesAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// Services that write the secret of a hook into its path; made-up ones.
		"https://hooks.slack.example/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXXX":                                      "https://hooks.slack.example/services/T00000000/B00000000/XXXX***",
		"https://discord.example/api/webhooks/123456789012345678/aBcD_efGh-1jKlMnOpQrStUvWxYz":                                    "https://discord.example/api/webhooks/123456789012345678/aBcD***",
		"https://api.telegram.example/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u/sendMessage":                                          "https://api.telegram.example/bot1***/sendMessage",
		"https://outlook.example/webhook/0b3c1a5e-1f5b-4a4e-9f53-9c1f6f1c2d3e@x/IncomingWebhook/0123456789abcdef0123456789abcdef": "https://outlook.example/webhook/0b3c***/IncomingWebhook/0123***",
		"https://hooks.zapier.example/hooks/catch/1234567/o8x9y7z6a5b4c3d2/":                                                      "https://hooks.zapier.example/hooks/catch/1234567/o8x9***/",
		// Credentials, queries and fragments.
		"https://user:pass@acme.example/a?key=1&b=2":            "https://***@acme.example/a?***",
		"HTTP://token@acme.example#secret":                      "HTTP://***@acme.example#***",
		"https://a@b:c@acme.example:8443/x":                     "https://***@acme.example:8443/x",
		`Get "https://acme.example/v1/a?cursor=x": reset`:       `Get "https://acme.example/v1/a?***": reset`,
		"POST https://acme.example/h/0123456789abcdef0123: 500": "POST https://acme.example/h/0123***: 500",
		// What is no secret stays.
		"https://api.github.com/repos/octocat/hello-world/issues":          "https://api.github.com/repos/octocat/hello-world/issues",
		"https://acme.example/v1/customers/cus_00418800/payment_intents":   "https://acme.example/v1/customers/cus_00418800/payment_intents",
		"https://acme.example/2026-03-01T12:00:00Z/1234567890123456789":    "https://acme.example/2026-03-01T12:00:00Z/1234567890123456789",
		"https://acme.example/a-rather-long-name-of-a-repository-of-2026":  "https://acme.example/a-rather-long-name-of-a-repository-of-2026",
		"https://acme.example/internationalization/responsibilities.json.": "https://acme.example/internationalization/responsibilities.json.",
		"no address: 0123456789abcdef0123456789abcdef":                     "no address: 0123456789abcdef0123456789abcdef",
		"https://": "https://",
		"two https://a.example/?x and https://b.example/?y": "two https://a.example/?*** and https://b.example/?***",
	} {
		require.Equal(t, want, httpguard.Shown(text))
		require.Equal(t, want, httpguard.Shown(want), "what is shown is shown again")
	}
}

func TestASettingIsShownSoFarThatItIsKnownAgain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://hooks.slack.example/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXXX":       "https://hooks.slack.example/services/T00000000/B00000000/XXXX***",
		"https://hooks.slack.example/services/T00/B00/aBcDeFgHiJkLmNoPqRsTuVwX":                    "https://hooks.slack.example/services/T00/B00/aBcD***",
		"https://api.example/v1/getCustomerInvoices":                                               "https://api.example/v1/getCustomerInvoices",
		"https://discord.example/api/webhooks/123456789012345678/aBcD_efGh-1jKlMnOpQrStUvWxYz?a=b": "https://discord.example/api/webhooks/123456789012345678/aBcD***?a=b",
		"https://fn.azure.example/api/run?code=aBcDefGh1jKlMnOpQrStUvWxYz0123456789==&clientId=x":  "https://fn.azure.example/api/run?code=***&clientId=x",
		"https://u:p@acme.example/{{ .subject }}/0123456789abcdef0123?api_key=x&sort_key=name#t":   "https://***@acme.example/{{ .subject }}/0123***?api_key=***&sort_key=name#t",
		"https://acme.example/v1/orders?limit=5&status=open":                                       "https://acme.example/v1/orders?limit=5&status=open",
		"https://acme.example/${HOOK_0123456789abcdef}?token={{ .vars.token }}&key=${KEY}":         "https://acme.example/${HOOK_0123456789abcdef}?token={{ .vars.token }}&key=${KEY}",
		"https://acme.example?x-token=%zz&signature=":                                              "https://acme.example?x-token=***&signature=",
		"***":                  "***",
		"":                     "",
		"0123456789abcdef0123": "0123456789abcdef0123",
	} {
		require.Equal(t, want, httpguard.ShownAddress(text))
		require.Equal(t, want, httpguard.ShownAddress(want), "what is shown is shown again")
	}
}

func FuzzShownKeepsNoSecretOfAnAddress(f *testing.F) {
	f.Add("user", "pass", "0123456789abcdef0123", "q=secret")
	f.Fuzz(func(t *testing.T, user, password, token, query string) {
		u := url.URL{Scheme: "https", User: url.UserPassword(user+"canary1", password+"canary2"), Host: "acme.example", Path: "/a/" + token, RawQuery: url.QueryEscape(query + "canary3")}
		shown := httpguard.Shown("before " + u.String() + " after")
		require.NotContains(t, shown, "canary")
		require.True(t, strings.HasPrefix(shown, "before https://***@acme.example/a/"), shown)
		require.Equal(t, shown, httpguard.Shown(shown))
		shown = httpguard.ShownAddress(u.String())
		require.Equal(t, shown, httpguard.ShownAddress(shown))
	})
}
