package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// A handler can end the whole process, and a stored delivery that makes it do so
// would be due at every start, for ever. So the first stored delivery of a
// connection that a process hands over is claimed before: its row says that the
// process ended in it, and is due later. What becomes of the call replaces that.
// A delivery that crashes the process later than that is the first of the next
// process, because those before it were settled or wait.

// mostEndings is how many processes may end in a delivery before it is given up.
const mostEndings = 3

const endingText = "the process ended while its handler was called, %d times in a row"

// endings reads how many processes have ended in a delivery from its last error.
func endings(lastError string) (n int) {
	if _, err := fmt.Sscanf(lastError, endingText, &n); err != nil {
		return 0
	}
	return n
}

// claim marks a stored delivery before its handler is called, unless the
// connection has shown in this process that it survives. The returned function
// takes the mark back.
func (h *Handler) claim(ctx context.Context, t Target, d delivery, row store.StoredDelivery, now time.Time) (release func(), err error) {
	before := endings(row.LastError)
	if _, back := h.returned.Load(row.ID); back {
		before = 0 // no process has ended in it
	}
	if before >= mostEndings {
		return nil, framework.Permanent(errors.New(row.LastError))
	}
	if _, survived := h.survived.Load(row.ConnectionID); survived && before == 0 {
		return func() {}, nil
	}
	claimed := row
	claimed.LastError = fmt.Sprintf(endingText, before+1)
	claimed.NextAttemptAt, claimed.WrittenAt = now.Add(h.wait(d.attempts, 0)), now
	keep := func(ctx context.Context, r store.StoredDelivery) error {
		u := h.leased(t, d)
		u.Keep = &r
		_, err := h.commit(ctx, u)
		return err
	}
	if err := keep(ctx, claimed); err != nil {
		h.returned.Store(row.ID, true) // the mark may be written, and nothing was called
		return nil, err
	}
	return func() {
		if err := keep(context.WithoutCancel(ctx), row); err != nil {
			h.config.Log.WarnContext(ctx, "a stored webhook could not be put back; it is handled later", "delivery", row.ID, "err", err)
		}
	}, nil
}
