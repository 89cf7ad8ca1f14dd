// Command upgrade is a Weir with one connector in two versions: the later one
// is built with -tags later.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/cmd/cli"
	connhttp "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

type record struct {
	ID string `json:"id"`
}

// pageCursor is the cursor of the first version, and that of steady.
type pageCursor struct{ Page int }

var (
	// Steady is the same in both versions.
	Steady = catalog.Poll[record, pageCursor]("steady", catalog.PollSpec{Schedule: "@every 1s"})
	// Inbox takes what anybody sends.
	Inbox = catalog.Receive("in", catalog.EndpointSpec{Auth: catalog.AuthNone, Reason: "a test on loopback"})
)

func main() {
	cli.Main(framework.Define(connector, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
		return append(routes(), framework.Sync(Steady, steady), framework.Webhook(Inbox, receive)), nil
	}), connhttp.Plugin)
}

// delivered is the number of the record that a delivery holds.
func delivered(d *framework.Delivery) (int, error) {
	var body struct{ N int }
	if err := d.Decode(&body); err != nil {
		return 0, err
	}
	return body.N, nil
}

// emit records the page-th version of nothing in particular.
func emit(out *ingest.Buffer, to catalog.Of[record], page int) error {
	id := fmt.Sprintf("r%d", page)
	return ingest.Canonical(out, to, "thing", record{id}, ingest.Options{
		IdempotencyKey: ingest.VersionKey(id, "1"), Time: time.Unix(1_800_000_000+int64(page), 0),
	})
}

func steady(_ context.Context, in framework.SyncRequest[pageCursor], out *ingest.Buffer) (framework.SyncResult[pageCursor], error) {
	next := in.Cursor.Page + 1
	return framework.SyncResult[pageCursor]{Cursor: pageCursor{next}}, emit(out, Steady, next)
}
