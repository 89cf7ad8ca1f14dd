package trigger

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// bodies bounds the bytes of all bodies that are being read or waited for.
type bodies struct {
	used atomic.Int64
	most int64
}

// grow takes n more bytes, unless that is too much.
func (b *bodies) grow(n int64) bool {
	if b.used.Add(n) <= b.most {
		return true
	}
	b.used.Add(-n)
	return false
}

// firstRead is the most memory that is taken before the sender has sent it.
const firstRead = 16 << 10

// read reads the body up to [MaxBody]: memory is taken as bytes come, at most one
// byte more than that is read, and a body that comes too slowly is ended. release
// gives the memory back.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, timeout time.Duration) (body []byte, release func(), no *refusal) {
	held := int64(0)
	release = func() { b.used.Add(-held) }
	if r.ContentLength > MaxBody {
		return nil, release, tooLarge()
	}
	control := http.NewResponseController(w)
	// A recorder in a test has no connection.
	if err := control.SetReadDeadline(time.Now().Add(timeout)); err == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	size := int64(512)
	if r.ContentLength >= 0 {
		size = min(r.ContentLength+1, firstRead)
	}
	for {
		if len(body) == cap(body) {
			grown := min(max(size, 2*int64(cap(body))), MaxBody+1)
			if !b.grow(grown - int64(cap(body))) {
				return nil, release, busy("too many bytes are on their way")
			}
			held += grown - int64(cap(body))
			larger := make([]byte, len(body), grown)
			copy(larger, body)
			body = larger
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > MaxBody:
			return nil, release, tooLarge()
		case errors.Is(err, io.EOF):
			return body, release, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, release, &refusal{status: http.StatusRequestTimeout, code: "timeout", detail: "the body came too slowly", unread: true}
		case err != nil:
			return nil, release, &refusal{status: http.StatusBadRequest, code: "bad_request", detail: "the body is malformed or ended early", unread: true}
		}
	}
}
