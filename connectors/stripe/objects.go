package stripe

import "encoding/json"

// Customer is what the connector reads of a customer. Records hold all that
// Stripe sent, as it sent it.
type Customer struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
}

// Invoice is what the connector reads of an invoice.
type Invoice struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
	Status  string `json:"status"`
}

// Payout is what the connector reads of a payout.
type Payout struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
	Status  string `json:"status"`
}

// Payment says that an invoice was paid.
type Payment struct {
	// Invoice and Customer are the ids of what was paid and by whom.
	Invoice  string `json:"invoice"`
	Customer string `json:"customer"`
	// AmountPaid is in the smallest unit of Currency.
	AmountPaid int64  `json:"amount_paid"`
	Currency   string `json:"currency"`
	// PaidAt is in seconds of Unix time.
	PaidAt int64 `json:"paid_at"`
}

// Event is what the connector reads of a webhook event.
type Event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Created int64  `json:"created"`
	Data    struct {
		Object json.RawMessage `json:"object"`
	} `json:"data"`
}

// object is a record with a stream of its own.
type object interface {
	Customer | Invoice | Payout
	identity() identity
}

type identity struct {
	id      string
	created int64
	// stage orders the states of one second: how far the object has come in
	// its life.
	stage int
}

func (c Customer) identity() identity { return identity{c.ID, c.Created, 0} }

func (i Invoice) identity() identity {
	stages := map[string]int{"draft": 1, "open": 2, "uncollectible": 3, "paid": 4, "void": 4}
	return identity{i.ID, i.Created, stages[i.Status]}
}

func (p Payout) identity() identity {
	stages := map[string]int{"pending": 1, "in_transit": 2, "paid": 3, "failed": 4, "canceled": 4}
	return identity{p.ID, p.Created, stages[p.Status]}
}
