package http

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/framework/httpguard"
)

// position is what the templates of one request may refer to.
type position struct {
	cursor       any
	page, offset int64
	since        any
	from, to     time.Time
}

// requests builds the requests of one stream.
type requests struct {
	settings StreamSettings
	path     *expr.Template
	headers  []*expr.Template
	body     any
	vars     map[string]any

	compression string
	threshold   int
}

func newRequests(s Settings, one StreamSettings) (*requests, error) {
	r := &requests{settings: one, vars: map[string]any{}, compression: s.Compression, threshold: s.Threshold}
	for name, value := range s.Vars {
		r.vars[name] = value.Reveal()
	}
	var err error
	if r.path, err = expr.ParseTemplate(one.Path); err != nil {
		return nil, err
	}
	if s.Mode == modePush {
		return nil, errors.New("nothing is asked for in push mode")
	}
	for _, h := range one.Headers {
		t, err := expr.ParseTemplate(h.Value.Reveal())
		if err != nil {
			return nil, err
		}
		r.headers = append(r.headers, t)
	}
	r.body, err = decodeBody(one.Body)
	return r, err
}

// input is what expressions in the settings see.
func (r *requests) input(at position) *expr.Document {
	in := map[string]any{
		"cursor": at.cursor, "page": int(at.page), "offset": int(at.offset), "since": at.since, "vars": r.vars, "limit": nil,
		"from": nil, "to": nil, "from_unix": nil, "to_unix": nil,
	}
	if r.settings.Pagination != nil && r.settings.Pagination.Limit > 0 {
		in["limit"] = r.settings.Pagination.Limit
	}
	if !at.from.IsZero() {
		in["from"], in["from_unix"] = at.from.UTC().Format(time.RFC3339Nano), int(at.from.Unix())
	}
	if !at.to.IsZero() {
		in["to"], in["to_unix"] = at.to.UTC().Format(time.RFC3339Nano), int(at.to.Unix())
	}
	return expr.Of(in)
}

// build makes the request for a position, or for the URL of a next page. It
// returns the body as it is sent.
func (r *requests) build(ctx context.Context, at position, next *url.URL) (*http.Request, []byte, error) {
	in := r.input(at)
	address := next
	if address == nil {
		var err error
		if address, err = r.address(ctx, in, at); err != nil {
			return nil, nil, framework.Permanent(fmt.Errorf("endpoint: %w", err))
		}
	}
	body, contentType, err := r.content(ctx, in)
	if err != nil {
		return nil, nil, framework.Permanent(fmt.Errorf("body: %w", err))
	}
	request, err := http.NewRequestWithContext(ctx, r.settings.Method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, framework.Permanent(errors.New("endpoint: makes no URL"))
	}
	request.Header.Set("User-Agent", "weir")
	request.Header.Set("Accept", map[string]string{"json": "application/json", "ndjson": "application/x-ndjson, application/json", "csv": "text/csv"}[r.settings.Format])
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	seen := map[string]bool{}
	for i, h := range r.settings.Headers {
		value, err := r.headers[i].Text(ctx, in, func(_ string, v expr.Value) string { return v.Text() })
		if err != nil || !httpguard.ValidHeaderValue(value) {
			return nil, nil, framework.Permanent(fmt.Errorf("header %s: its template fails, or gives a character that no header can carry", h.Name))
		}
		name := http.CanonicalHeaderKey(h.Name)
		if !seen[name] {
			request.Header.Del(name) // what is set wins over our defaults
		}
		seen[name] = true
		request.Header.Add(name, value)
	}
	body, err = r.compress(request, body)
	return request, body, err
}

// address returns the URL of the first page, or of a page that is asked for by
// parameters.
func (r *requests) address(ctx context.Context, in *expr.Document, at position) (*url.URL, error) {
	text, err := r.settings.Endpoint.Text(ctx, in, escapeInURL)
	if err != nil {
		return nil, err
	}
	path, err := r.path.Text(ctx, in, escapeInURL)
	if err != nil {
		return nil, err
	}
	base, query, _ := strings.Cut(text, "?")
	if path != "" {
		path, more, _ := strings.Cut(path, "?")
		base = strings.TrimSuffix(base, "/") + path
		query = strings.Trim(query+"&"+more, "&")
	}
	q := parameters(strings.Split(encodeURL(query), "&"))
	for _, name := range slices.Sorted(maps.Keys(r.settings.Query)) {
		t := r.settings.Query[name]
		if v, whole, err := t.Whole(ctx, in); err != nil {
			return nil, err
		} else if whole && v.Null() {
			continue
		}
		value, err := t.Text(ctx, in, func(_ string, v expr.Value) string { return v.Text() })
		if err != nil {
			return nil, err
		}
		q = q.set(name, value)
	}
	q = r.pageParameters(q, at)
	parsed, err := url.Parse(encodeURL(base))
	if err != nil {
		return nil, errors.New("makes no URL")
	}
	parsed.RawQuery = strings.Trim(strings.Join(q, "&"), "&")
	return parsed, nil
}

// pageParameters adds what pagination and the incremental field ask with.
func (r *requests) pageParameters(q parameters, at position) parameters {
	if g := r.settings.Pagination; g != nil {
		switch {
		case g.Param == "":
		case g.Type == "cursor" && at.cursor != nil:
			q = q.set(g.Param, asText(at.cursor))
		case g.Type == "offset":
			q = q.set(g.Param, strconv.FormatInt(at.offset, 10))
		case g.Type == "page":
			q = q.set(g.Param, strconv.FormatInt(at.page, 10))
		}
		if g.LimitParam != "" {
			q = q.set(g.LimitParam, strconv.Itoa(g.Limit))
		}
	}
	if inc := r.settings.Incremental; inc != nil && inc.Param != "" && at.since != nil {
		q = q.set(inc.Param, asText(at.since))
	}
	return q
}

func asText(v any) string { return expr.Of(v).Value().Text() }

// parameters are the parts of a query, encoded, in order.
type parameters []string

// set replaces the parameter, or adds it.
func (p parameters) set(name, value string) parameters {
	escaped := url.QueryEscape(name)
	p = slices.DeleteFunc(slices.Clone(p), func(part string) bool {
		key, _, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(key)
		return err == nil && plain == name && part != ""
	})
	return append(slices.DeleteFunc(p, func(part string) bool { return part == "" }), escaped+"="+url.QueryEscape(value))
}

// escapeInURL writes a value into a URL: as part of the query after a question
// mark, else as part of one segment of the path.
func escapeInURL(before string, v expr.Value) string {
	if strings.Contains(before, "?") {
		return url.QueryEscape(v.Text())
	}
	return url.PathEscape(v.Text())
}

// encodeURL percent-encodes what may not stand in a URL, and leaves alone what
// is encoded.
func encodeURL(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		encoded := c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		if c > ' ' && c < 0x7f && strings.IndexByte("\"<>\\^`{|}%", c) < 0 || encoded {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
	}
	return b.String()
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// content returns the request's body and its content type.
func (r *requests) content(ctx context.Context, in *expr.Document) ([]byte, string, error) {
	if r.body == nil {
		return nil, "", nil
	}
	plain := func(_ string, v expr.Value) string { return v.Text() }
	if text, ok := r.body.(string); ok {
		t, err := expr.ParseTemplate(text)
		if err != nil {
			return nil, "", err
		}
		body, err := t.Text(ctx, in, plain)
		contentType := "text/plain; charset=utf-8"
		if json.Valid([]byte(body)) {
			contentType = "application/json"
		}
		return []byte(body), contentType, err
	}
	filled, err := templates(r.body, func(text string) (any, error) {
		t, err := expr.ParseTemplate(text)
		if err != nil {
			return nil, err
		}
		if v, whole, err := t.Whole(ctx, in); whole || err != nil {
			encoded, jsonErr := v.JSON()
			return encoded, errors.Join(err, jsonErr)
		}
		return t.Text(ctx, in, plain)
	})
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(filled)
	return body, "application/json", err
}

// compress compresses a body that is large enough.
func (r *requests) compress(request *http.Request, body []byte) ([]byte, error) {
	if r.compression == "none" || r.compression == "" || len(body) == 0 || len(body) < r.threshold {
		return body, nil
	}
	var b bytes.Buffer
	switch r.compression {
	case "gzip":
		w := gzip.NewWriter(&b)
		if _, err := w.Write(body); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	case "zstd":
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		b.Write(w.EncodeAll(body, nil))
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	compressed := b.Bytes()
	request.Header.Set("Content-Encoding", r.compression)
	request.ContentLength = int64(len(compressed))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(compressed)), nil }
	request.Body, _ = request.GetBody()
	return compressed, nil
}
