// Package stripe ingests Stripe customers, invoices, payouts, payments and
// every other webhook event.
//
// # Polls find what is new, webhooks tell what changed
//
// Stripe lists newest first by creation, and neither the order nor a filter
// shows an update. A poll therefore reads one window of creation times, from
// the end of the last window less an overlap of one hour (for objects that
// become visible late) to the moment of its first page on Stripe's clock. It
// pages through the window by object id, which objects that are created
// meanwhile do not shift, and the watermark moves only after the window's last
// page. An object that is deleted while its id is the page's anchor costs a
// repeated page, nothing more.
//
// Updates and deletions come from webhooks. A delivery goes to the stream of
// its object; invoice.paid is also a payment; what belongs to no stream goes to
// events. Without the webhook endpoint the polled streams hold each object as
// it was within the hour after its creation.
//
// # Which of two states is newer
//
// Objects have no version. A polled state is dated with a moment on Stripe's
// clock that surely lies before the read, so a webhook about a later change is
// newer in whatever order the two arrive. Webhooks of one second are ordered by
// the life cycle of their object (an invoice is open before it is paid); two
// updates of one customer within one second that are also delivered in reverse
// cannot be told apart, as Stripe gives them no order.
package stripe
