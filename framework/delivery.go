package framework

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weirhq/weir/ingest"
)

// Delivery is one webhook request, verified by the endpoint's declared
// authentication before the handler sees it.
type Delivery struct {
	// ID is Weir's own id of the delivery, "dlv_…".
	ID string
	// Key is the provider's id of the delivery, or a hash of the body.
	Key string
	// Header is the request's header, without credentials and signatures.
	Header http.Header
	// Body is the raw body, byte for byte as it was signed.
	Body []byte
	// ReceivedAt is when the request arrived. It stays the same when the
	// handler is called again.
	ReceivedAt time.Time
	// Attempt counts the calls of the handler for this delivery, from 1.
	Attempt int

	verify func() error
}

// Decode decodes the body as JSON into v. An error of it is permanent: the same
// bytes will not decode later.
func (d *Delivery) Decode(v any) error {
	if err := ingest.Decode(d.Body, v); err != nil {
		return Permanent(fmt.Errorf("decode delivery: %w", err))
	}
	return nil
}

// Verify checks the delivery's signature with the connection's secret. Handlers
// of endpoints with catalog.AuthCustom must call it; for all others it was done.
func (d *Delivery) Verify(ctx context.Context) error {
	if d.verify == nil {
		return nil
	}
	return errors.Join(ctx.Err(), d.verify())
}

// WithVerify returns d with the check that [Delivery.Verify] performs. The
// runtime uses it.
func (d *Delivery) WithVerify(check func() error) *Delivery {
	d.verify = check
	return d
}
