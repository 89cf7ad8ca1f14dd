package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/servertls"
)

func TestReadsLimitsOfEndpointsAndListeners(t *testing.T) {
	t.Parallel()
	f, err := parse(t, `
listen_public: 0.0.0.0:8443
tls_cert: cert.pem
tls_key: key.pem
tls_client_ca: clients.pem
connections:
  - name: shop
    connector: acme
    config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
    endpoints:
      acme: {rate_limit: 30/min, burst: 3, max_handlers: 2, keep_days: 7, content_types: [Application/JSON]}
`, nil)
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:8443", f.ListenPublic)
	require.Equal(t, servertls.Files{Cert: "cert.pem", Key: "key.pem", ClientCA: "clients.pem"}, f.TLS)
	require.Equal(t, map[string]intake.Policy{"acme": {
		RateLimit: 0.5, Burst: 3, MaxHandlers: 2, Keep: 7 * 24 * time.Hour, ContentTypes: []string{"application/json"},
	}}, f.Connections[0].Endpoints)
}

func TestReportsEveryWrongLimitOfAnEndpoint(t *testing.T) {
	t.Parallel()
	_, err := parse(t, `
listen_public: here
connections:
  - name: shop
    connector: acme
    config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
    endpoints:
      acmee: {rate_limit: -1, max_handlers: 0, keep_days: 366, content_types: [json], rate_limits: 1}
      acme: {burst: 3}
`, nil)
	for _, want := range []string{
		`weir.yaml:2:16: listen_public: "here" is no address`,
		`weir.yaml:8:27: rate_limit: "-1" is no rate`,
		`max_handlers: "0" is no whole number from 1 to 10000`,
		`keep_days: "366" is no whole number from 0 to 365`,
		`content_types: "json" is no media type`,
		`endpoint "acmee" has no key "rate_limits"; did you mean "rate_limit"?`,
		`endpoint "acme" has burst without rate_limit`,
		`connector "acme" has no endpoint "acmee"; did you mean "acme"?`,
	} {
		require.ErrorContains(t, err, want)
	}
}
