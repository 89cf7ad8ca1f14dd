package demo

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// ServeHTTP serves the shop's API:
//
//	GET /v1/customers?limit=&starting_after=
//	GET /v1/orders?limit=&starting_after=
//
// Objects are listed newest first by updated_at. as_of is the time of the last
// change that the list could show; every later change is newer.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if key := p.config.APIKey; key != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+key)) != 1 {
		fail(w, http.StatusUnauthorized, "the API key is not the shop's")
		return
	}
	k, ok := map[string]kind{"/v1/customers": kindCustomer, "/v1/orders": kindOrder}[r.URL.Path]
	if !ok || r.Method != http.MethodGet {
		fail(w, http.StatusNotFound, "there is GET /v1/customers and GET /v1/orders")
		return
	}
	limit := 20
	if given := r.URL.Query().Get("limit"); given != "" {
		var err error
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > 100 {
			fail(w, http.StatusBadRequest, "limit must be a number from 1 to 100")
			return
		}
	}
	page, ok := p.page(k, limit, r.URL.Query().Get("starting_after"))
	if !ok {
		fail(w, http.StatusNotFound, "there is no object with the id in starting_after")
		return
	}
	reply(w, http.StatusOK, page)
}

type listing struct {
	Object  string            `json:"object"`
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
	AsOf    time.Time         `json:"as_of"`
}

// page lists objects below the one named after. Deleted customers are listed as
// tombstones, deleted orders are not.
func (p *Provider) page(k kind, limit int, after string) (listing, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	objects := slices.DeleteFunc(slices.Clone(p.shelf[k].objects), func(e *entity) bool { return e.deleted && k == kindOrder })
	slices.SortFunc(objects, func(a, b *entity) int { return b.updatedAt.Compare(a.updatedAt) })
	if after != "" {
		i := slices.IndexFunc(objects, func(e *entity) bool { return e.id == after })
		if i < 0 {
			return listing{}, false
		}
		objects = objects[i+1:]
	}
	page := listing{Object: "list", Data: []json.RawMessage{}, HasMore: len(objects) > limit, AsOf: p.last}
	for _, e := range objects[:min(limit, len(objects))] {
		page.Data = append(page.Data, e.body)
	}
	return page, true
}

func fail(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]map[string]string{"error": {"message": message}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	// A client that went away is told nothing.
	_ = json.NewEncoder(w).Encode(body)
}
