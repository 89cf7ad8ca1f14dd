package acme_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.com/desk/acme"

	"github.com/weirhq/weir/framework/connectortest"
)

func TestReadsEveryTicket(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"0": `[{"id":1,"updated_at":"2026-01-01T00:00:00Z"},{"id":2,"updated_at":"2026-01-02T00:00:00Z"}]`,
		"1": `[{"id":3,"updated_at":"2026-01-03T00:00:00Z"}]`,
		"2": `[]`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, pages[r.URL.Query().Get("page")])
	}))
	defer server.Close()
	settings := map[string]any{"token": "t", "base_url": server.URL, "webhook_secret": "0123456789abcdef"}
	b := connectortest.Open(t, acme.Plugin, settings, server.Client())
	log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: "tickets"})
	if n := len(log.Events("tickets")); n != 3 {
		t.Fatalf("there are %d events, not 3", n)
	}
}
