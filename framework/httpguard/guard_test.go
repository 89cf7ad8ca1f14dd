package httpguard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/httpguard"
)

func get(t *testing.T, c *http.Client, address string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(t, err)
	response, err := c.Do(request)
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

func TestRefusesPrivateAndSpecialAddresses(t *testing.T) {
	t.Parallel()
	guard := httpguard.New(httpguard.Config{})
	for _, host := range []string{
		"127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[::ffff:127.0.0.1]",
		"[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[2001:db8::1]", "[ff02::1]",
		"192.0.0.192", "198.51.100.1", "203.0.113.1", "0.1.2.3", "100.100.100.200", "169.254.170.2", "192.88.99.1",
		"[::127.0.0.1]", "[::ffff:168.63.129.16]", "[2002:a83f:8110::1]", "[64:ff9b:1::7f00:1]", "[2001:0:7f00:1::]", "[100::1]", "[fec0::1]", "[3fff::1]",
	} {
		_, err := get(t, guard.Client([]string{"http://" + strings.Trim(host, "[]")}), "http://"+host+":9/")
		require.ErrorIs(t, err, httpguard.ErrAddressRefused, host)
	}
}

func TestRefusesOtherSpellingsOfThisMachine(t *testing.T) {
	t.Parallel()
	guard := httpguard.New(httpguard.Config{})
	// What a resolver makes of them differs; none may be reached.
	for _, host := range []string{
		"localhost", "LOCALHOST.", "127.0.0.1.", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "[::1%25lo]", "[fe80::1%25lo]",
		"\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021",
	} {
		_, err := get(t, guard.Client([]string{"http://" + strings.Trim(host, "[]")}), "http://"+host+":9/")
		require.Error(t, err, host)
		require.NotContains(t, err.Error(), "connection refused", host)
	}
}

func TestSendsNothingInTheClearUnlessItWasNamedSo(t *testing.T) {
	t.Parallel()
	guard := httpguard.New(httpguard.Config{})
	_, err := get(t, guard.Client([]string{"192.0.2.1", "*.example.com"}), "http://192.0.2.1/")
	require.ErrorIs(t, err, httpguard.ErrPlaintext)
	_, err = get(t, guard.Client([]string{"*.example.com"}), "http://api.example.com/")
	require.ErrorIs(t, err, httpguard.ErrPlaintext)
	// Whether it is reached is another question.
	for _, hosts := range [][]string{{"http://192.0.2.1"}, {"192.0.2.1", "http://192.0.2.1."}} {
		_, err = get(t, guard.Client(hosts), "http://192.0.2.1/")
		require.ErrorIs(t, err, httpguard.ErrAddressRefused)
	}
	_, err = get(t, guard.Client([]string{"192.0.2.1"}), "https://192.0.2.1/")
	require.ErrorIs(t, err, httpguard.ErrAddressRefused)
}

func TestLoopbackNeedsPermission(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(server.Close)
	_, err := get(t, httpguard.New(httpguard.Config{}).Client([]string{"127.0.0.1"}), server.URL)
	require.ErrorIs(t, err, httpguard.ErrAddressRefused)

	for _, c := range []httpguard.Config{{AllowLoopback: true}, {AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}} {
		response, err := get(t, httpguard.New(c).Client([]string{"127.0.0.1"}), server.URL)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "ok", string(body))
	}
}

func TestRefusesHostsNobodyNamed(t *testing.T) {
	t.Parallel()
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	for _, hosts := range [][]string{nil, {"api.example.com"}, {"*.example.com"}} {
		_, err := get(t, guard.Client(hosts), "http://127.0.0.1:9/")
		require.ErrorIs(t, err, httpguard.ErrHostNotAllowed)
	}
	_, err := get(t, guard.Client([]string{"*.example.com"}), "http://example.com.evil.test/")
	require.ErrorIs(t, err, httpguard.ErrHostNotAllowed)
	_, err = get(t, guard.Client([]string{"127.0.0.1"}), "ftp://127.0.0.1/")
	require.ErrorContains(t, err, "only http and https")
}

func TestDoesNotFollowARedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 1)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/other":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(server.Close)
	client := httpguard.New(httpguard.Config{AllowLoopback: true}).Client([]string{"127.0.0.1"})
	response, err := get(t, client, server.URL+"/same")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	response, err = get(t, client, server.URL+"/other")
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, response.StatusCode)
	require.Empty(t, reached)
}

func TestIgnoresTheProxyOfTheEnvironment(t *testing.T) {
	var proxied bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	address, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	_, err = get(t, httpguard.New(httpguard.Config{AllowLoopback: true}).Client([]string{"http://10.1.1.1"}), "http://10.1.1.1:"+address.Port())
	require.ErrorIs(t, err, httpguard.ErrAddressRefused)
	require.False(t, proxied)
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestBoundsTheResponseBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/announced" {
			w.Header().Set("Content-Length", "99999999999")
			return
		}
		_, _ = io.Copy(w, endless{})
	}))
	t.Cleanup(server.Close)
	client := httpguard.New(httpguard.Config{AllowLoopback: true}).Client([]string{"127.0.0.1"})
	_, err := get(t, client, server.URL+"/announced")
	require.ErrorIs(t, err, httpguard.ErrResponseTooLarge)
	response, err := get(t, client, server.URL+"/streamed")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, response.Body)
	require.ErrorIs(t, err, httpguard.ErrResponseTooLarge)
	require.Equal(t, int64(httpguard.MaxResponseBytes), n)
}
