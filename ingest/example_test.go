package ingest_test

import (
	"encoding/json"
	"fmt"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/ingest"
)

type Customer struct {
	ID        string `json:"id"`
	UpdatedAt string `json:"updated_at"`
}

type cursor struct{ Page string }

var (
	// Customers are the people who pay.
	Customers = catalog.Poll[ingest.Record[Customer], cursor]("customers", catalog.PollSpec{Schedule: "@hourly"})
	// Plain are customers of which only the named fields are kept.
	Plain = catalog.Webhook[Customer]("plain")
)

func buffer() *ingest.Buffer {
	return ingest.NewBuffer([]string{"customers", "plain"}, ingest.PageLimits())
}

func ExampleCanonical() {
	var page []ingest.Record[Customer]
	// The provider's bytes are kept: field order, big numbers and escapes too.
	_ = json.Unmarshal([]byte(`[{"updated_at":"2026-01-01","id":"c1","balance":9007199254740993}]`), &page)

	out := buffer()
	for _, c := range page {
		key := ingest.VersionKey(c.Value.ID, c.Value.UpdatedAt)
		if err := ingest.Canonical(out, Customers, "customer", c, ingest.Options{IdempotencyKey: key}); err != nil {
			fmt.Println(err)
		}
	}
	emissions, err := out.Seal()
	fmt.Printf("%s %s %v\n", emissions[0].Operation, emissions[0].Payload, err)
	// Output: upsert {"updated_at":"2026-01-01","id":"c1","balance":9007199254740993} <nil>
}

func ExampleDelete() {
	out := buffer()
	err := ingest.Delete(out, Customers, "customer", ingest.Options{IdempotencyKey: ingest.VersionKey("c1", "evt_9")})
	emissions, _ := out.Seal()
	fmt.Println(emissions[0].Operation, emissions[0].Key.Entity(), err)
	// Output: delete c1 <nil>
}

func ExampleLatestKey() {
	// The provider has no version: the payload is compared with the latest.
	key := ingest.LatestKey("c1")
	fmt.Println(key.Entity(), key.Latest())
	// Output: c1 true
}

func ExampleEventKey() {
	key := ingest.EventKey("evt_1")
	fmt.Printf("%q %q\n", key.Entity(), key.Subject())
	// Output: "" "evt_1"
}

func ExampleKey_About() {
	key := ingest.EventKey(`header X-Id "17"`).About("17")
	fmt.Printf("%q %s\n", key.Subject(), key.Text(0, [16]byte{}))
	// Output: "17" e/header X-Id "17"
}
