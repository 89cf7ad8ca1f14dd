package health_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/health"
)

func TestSendersAreToldWhereWebhooksAreTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a    health.Address
		tls  bool
		want string
	}{
		{health.Address{}, false, "http://localhost:9657"},
		{health.Address{}, true, "https://localhost:9657"},
		{health.Address{PublicURL: "https://weir.example/", ListenPublic: ":8443"}, false, "https://weir.example"},
		{health.Address{ListenPublic: "10.0.0.7:8443"}, true, "https://10.0.0.7:8443"},
		{health.Address{ListenPublic: "hooks.example:80"}, false, "http://hooks.example:80"},
		{health.Address{ListenPublic: ":8443"}, true, "https://localhost:8443"},
		{health.Address{ListenPublic: "0.0.0.0:8080"}, false, "http://localhost:8080"},
		{health.Address{ListenPublic: "[::]:8080"}, false, "http://localhost:8080"},
		{health.Address{ListenPublic: "[::1]:8080"}, false, "http://[::1]:8080"},
		{health.Address{ListenPublic: "127.0.0.1:0"}, false, "http://localhost:9657"},
	} {
		r := &http.Request{Host: "localhost:9657"}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		require.Equal(t, c.want, c.a.Base(r), "%+v", c.a)
	}
}
