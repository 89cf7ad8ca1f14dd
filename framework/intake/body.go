package intake

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// firstRead is the most memory that is taken before the sender has sent it:
// Content-Length is a claim.
const firstRead = 16 << 10

// readBody reads the body up to the limit. It takes memory as bytes come, never
// reads more than one byte over the limit, and ends a body that comes too
// slowly. ok is false with the answer for a body that is not taken.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, limit int64, hold *hold) (body []byte, refusal answer, ok bool) {
	if r.ContentLength > limit {
		return nil, tooLarge(0), false
	}
	control := http.NewResponseController(w)
	// A writer without deadlines is no connection: a test's recorder.
	if err := control.SetReadDeadline(time.Now().Add(h.config.BodyTimeout)); err == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	size := int64(512)
	if r.ContentLength >= 0 {
		size = min(r.ContentLength+1, firstRead)
	}
	buffer := []byte(nil)
	for {
		if len(buffer) == cap(buffer) {
			grown := min(max(size, 2*int64(cap(buffer))), limit+1)
			if !hold.grow(grown - int64(cap(buffer))) {
				a := busy("too many bytes in flight")
				a.close = true
				return nil, a, false
			}
			larger := make([]byte, len(buffer), grown)
			copy(larger, buffer)
			buffer = larger
		}
		n, err := r.Body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case int64(len(buffer)) > limit:
			return nil, tooLarge(len(buffer)), false
		case errors.Is(err, io.EOF):
			return buffer, answer{}, true
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, bodyTimeout(len(buffer)), false
		case err != nil:
			return nil, bodyBroken(len(buffer)), false
		}
	}
}
