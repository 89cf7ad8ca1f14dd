package stripemock

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"
)

// stub is made once a process: it reads 11 MB of JSON and compiles a validator for each endpoint,
// which takes a second (several with the race detector), and it keeps no state between requests.
var stub = sync.OnceValues(func() (http.Handler, error) {
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		return nil, fmt.Errorf("load Stripe's description: %w", err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		return nil, fmt.Errorf("load Stripe's fixtures: %w", err)
	}
	const strictVersion, verbose = false, false
	s, err := server.NewStubServer(fixtures, spec, strictVersion, verbose)
	if err != nil {
		return nil, fmt.Errorf("start stripe-mock: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.HandleRequest)
	return &server.DoubleSlashFixHandler{Mux: mux}, nil
})

// Handler returns stripe-mock as a handler, for a test that wraps it: pages its fixtures, fails
// some requests, counts them.
func Handler(t testing.TB) http.Handler {
	t.Helper()
	h, err := stub()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Start serves stripe-mock on loopback until the test ends and returns its base URL, without a
// slash at the end. Requests need a key that begins with sk_test_.
func Start(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(Handler(t))
	t.Cleanup(s.Close)
	return s.URL
}
