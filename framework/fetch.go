package framework

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/weirhq/weir/framework/httpguard"
)

// MaxResponseBytes bounds the body that [Fetch] reads: what one page may hold.
const MaxResponseBytes = 16 << 20

// Fetched is a provider's response, read to its end.
type Fetched struct {
	// Status is the HTTP status code.
	Status int
	// Header is the response's header.
	Header http.Header
	// Body is the whole body.
	Body []byte
	// ReadAt is a moment on the provider's clock at which the records in the
	// body had surely not been read yet, and at most about a second and the
	// request's duration before they were. It is the right [ingest.Options] Time
	// for records that carry no time of their own: whatever the provider
	// reports to have happened after the records were read is newer. It is zero
	// when the response has no Date header.
	ReadAt time.Time
}

// Fetch sends request and reads the response. A response other than 2xx is
// returned together with the error that [ResponseError] makes of it. A body
// larger than [MaxResponseBytes] is a permanent error, a connection that fails
// a transient one, in which the URL's query is left out.
func Fetch(client *http.Client, request *http.Request) (*Fetched, error) {
	sent := time.Now()
	response, err := client.Do(request)
	if err != nil {
		// url.Error prints the whole URL, and a query may hold a secret.
		if withURL, ok := errors.AsType[*url.Error](err); ok {
			err = withURL.Err
		}
		return nil, fmt.Errorf("%s %s%s: %w", request.Method, request.URL.Host, httpguard.ShownPath(request.URL.EscapedPath()), err)
	}
	defer response.Body.Close()
	took := time.Since(sent)
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxResponseBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s%s: read response: %w", request.Method, request.URL.Host, httpguard.ShownPath(request.URL.EscapedPath()), err)
	}
	if len(body) > MaxResponseBytes {
		return nil, Permanent(fmt.Errorf("%s %s%s: the response is larger than %d bytes; ask for fewer records a page",
			request.Method, request.URL.Host, httpguard.ShownPath(request.URL.EscapedPath()), MaxResponseBytes))
	}
	fetched := &Fetched{Status: response.StatusCode, Header: response.Header, Body: body}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		// The records were read between sending and answering. Date is cut to
		// the second, and so are the times that most providers put into their
		// webhooks: a change in the second of the read must still be newer.
		fetched.ReadAt = date.Add(-took - time.Second).UTC()
	}
	return fetched, ResponseError(response)
}

// Decode decodes the body as JSON into v. Its error is transient: a proxy's
// error page or a cut body is gone the next time.
func (f *Fetched) Decode(v any) error {
	if err := json.Unmarshal(f.Body, v); err != nil {
		return fmt.Errorf("decode response: %w", err)
	}
	return nil
}
