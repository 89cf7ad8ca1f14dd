package framework_test

import (
	"context"
	"fmt"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

type Planet struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

type planetCursor struct {
	Offset int `json:"offset"`
}

type planetSettings struct {
	APIKey framework.Secret `json:"api_key" required:"true"`
}

var (
	// Planets are the bodies around the sun.
	Planets = catalog.Poll[Planet, planetCursor]("planets", catalog.PollSpec{Schedule: "@hourly"})
	// Sightings are what observatories report.
	Sightings = catalog.Webhook[Planet]("sightings")
	// Inbox receives the reports.
	Inbox = catalog.Receive("sky", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
)

var sky = catalog.Connector{
	Key:       "sky",
	Streams:   []catalog.Stream{Planets, Sightings},
	Endpoints: []catalog.Endpoint{Inbox},
}

var skyPlugin = framework.Define(sky, openSky)

func openSky(_ context.Context, in framework.Instance[planetSettings]) (framework.Routes, error) {
	known := []Planet{{"mercury", "1"}, {"venus", "1"}, {"earth", "7"}}
	_ = in.Settings.APIKey.Reveal() // would go into a request header
	return framework.Routes{
		framework.Sync(Planets, func(_ context.Context, in framework.SyncRequest[planetCursor], out *ingest.Buffer) (framework.SyncResult[planetCursor], error) {
			p := known[in.Cursor.Offset]
			err := ingest.Canonical(out, Planets, "planet", p, ingest.Options{IdempotencyKey: ingest.VersionKey(p.ID, p.Version)})
			next := planetCursor{Offset: in.Cursor.Offset + 1}
			return framework.SyncResult[planetCursor]{Cursor: next, HasMore: next.Offset < len(known)}, err
		}),
		framework.Webhook(Inbox, func(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			var p Planet
			if err := d.Decode(&p); err != nil {
				return err
			}
			return ingest.Canonical(out, Sightings, "sighting", p, ingest.Options{IdempotencyKey: ingest.EventKey(d.Key)})
		}),
	}, nil
}

func ExampleDefine() {
	ctx := context.Background()
	connection, err := skyPlugin.Open(ctx, framework.OpenRequest{Settings: map[string]any{"api_key": "k"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for call := (framework.PageCall{}); ; {
		page, emissions, err := connection.Page(ctx, "planets", call)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s then %s\n", emissions[0].Payload, page.Cursor)
		if !page.HasMore {
			break
		}
		call.Cursor = page.Cursor
	}
	emissions, err := connection.Deliver(ctx, "sky", &framework.Delivery{Key: "d1", Body: []byte(`{"id":"mars"}`)})
	fmt.Println(emissions[0].Stream, emissions[0].Key.Subject(), err)
	// Output:
	// {"id":"mercury","version":"1"} then {"offset":1}
	// {"id":"venus","version":"1"} then {"offset":2}
	// {"id":"earth","version":"7"} then {"offset":3}
	// sightings d1 <nil>
}

func ExampleGo() {
	wait := framework.Go(context.Background(), func(context.Context) error { panic("out of ink") })
	fmt.Println(wait())
	// Output: handler panicked: out of ink
}

func ExampleSecret() {
	settings := planetSettings{APIKey: "sk_live_123"}
	fmt.Printf("%v %s %q\n", settings, settings.APIKey, settings.APIKey.Reveal())
	// Output: {***} *** "sk_live_123"
}
