package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// receive takes one event. Its object decides the stream.
func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var record ingest.Record[Event]
	if err := record.UnmarshalJSON(compact(d.Body)); err != nil {
		return framework.Permanent(fmt.Errorf("decode event: %w", err))
	}
	e := record.Value
	if e.ID == "" || e.Type == "" || e.Created <= 0 {
		return framework.Permanent(errors.New("the event has no id, type or created; is it an event of the v1 API?"))
	}
	kind, id := e.subject()
	switch {
	case id == "":
	case kind == "customer":
		return emit(out, Customers, "customer", e)
	case kind == "invoice" && e.Type == "invoice.paid":
		return errors.Join(emit(out, Invoices, "invoice", e), emitPayment(out, e))
	case kind == "invoice":
		return emit(out, Invoices, "invoice", e)
	case kind == "payout":
		return emit(out, Payouts, "payout", e)
	}
	return ingest.Canonical(out, Events, e.Type, record, ingest.Options{IdempotencyKey: ingest.EventKey(e.ID), Time: e.at(0)})
}

// subject returns the kind and id of the event's object. Both may be empty: the
// events of some objects hold none, and the object of invoice.upcoming is a
// preview without an id.
func (e Event) subject() (kind, id string) {
	var o struct {
		Object string `json:"object"`
		ID     string `json:"id"`
	}
	if json.Unmarshal(e.Data.Object, &o) != nil {
		return "", ""
	}
	return o.Object, o.ID
}

// lastStage is after every stage of an object's life.
const lastStage = 99

// at returns when the object took the event's state. Stripe gives whole
// seconds; the stage of the object's life orders the states of one second.
func (e Event) at(stage int) time.Time {
	return time.Unix(e.Created, int64(stage)*int64(time.Microsecond)).UTC()
}

// emit emits the state of the event's object, or its deletion.
func emit[T object](out *ingest.Buffer, stream catalog.Of[ingest.Record[T]], canonicalType string, e Event) error {
	var r ingest.Record[T]
	if err := r.UnmarshalJSON(e.Data.Object); err != nil {
		return framework.Permanent(fmt.Errorf("decode %s of event %s: %w", canonicalType, e.ID, err))
	}
	object := r.Value.identity()
	options := ingest.Options{IdempotencyKey: ingest.VersionKey(object.id, e.ID)}
	switch e.Type {
	case canonicalType + ".deleted":
		options.Time = e.at(lastStage)
		return ingest.Delete(out, stream, canonicalType, options)
	case canonicalType + ".created":
		options.Time = e.at(0)
	default:
		options.Time = e.at(1 + object.stage)
	}
	return ingest.Canonical(out, stream, canonicalType, r, options)
}

func emitPayment(out *ingest.Buffer, e Event) error {
	var invoice struct {
		ID                string `json:"id"`
		Customer          string `json:"customer"`
		AmountPaid        int64  `json:"amount_paid"`
		Currency          string `json:"currency"`
		StatusTransitions struct {
			PaidAt int64 `json:"paid_at"`
		} `json:"status_transitions"`
	}
	if err := json.Unmarshal(e.Data.Object, &invoice); err != nil {
		return framework.Permanent(fmt.Errorf("decode paid invoice of event %s: %w", e.ID, err))
	}
	payment := Payment{invoice.ID, invoice.Customer, invoice.AmountPaid, invoice.Currency, invoice.StatusTransitions.PaidAt}
	if payment.PaidAt == 0 {
		payment.PaidAt = e.Created
	}
	return ingest.Canonical(out, Payments, "payment", payment, ingest.Options{IdempotencyKey: ingest.EventKey(e.ID), Time: e.at(0)})
}
