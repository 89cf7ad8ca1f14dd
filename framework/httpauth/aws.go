package httpauth

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signAWS signs r by AWS Signature Version 4, in headers
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func signAWS(r *http.Request, body []byte, c Config, now time.Time) {
	now = now.UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	payload := hexSHA256(body)
	r.Header.Set("X-Amz-Date", stamp)
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken.Reveal())
	}
	if c.Service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", payload)
	}
	headers, signed := canonicalHeaders(r)
	request := strings.Join([]string{
		r.Method, canonicalPath(r.URL, c.Service), canonicalQuery(r.URL.RawQuery), headers, signed, payload,
	}, "\n")
	scope := strings.Join([]string{day, c.Region, c.Service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexSHA256([]byte(request))}, "\n")
	key := []byte("AWS4" + c.SecretAccessKey.Reveal())
	for _, part := range []string{day, c.Region, c.Service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.AccessKeyID+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(key))
}

// canonicalHeaders returns the headers that are signed: the host, the content's
// type and those of AWS. Others may be changed by proxies on the way.
func canonicalHeaders(r *http.Request) (block, names string) {
	values := map[string]string{"host": cmp.Or(r.Host, r.URL.Host)}
	for name, list := range r.Header {
		lower := strings.ToLower(name)
		if lower != "content-type" && lower != "content-md5" && !strings.HasPrefix(lower, "x-amz-") {
			continue
		}
		trimmed := make([]string, len(list))
		for i, v := range list {
			trimmed[i] = strings.Join(strings.Fields(v), " ")
		}
		values[lower] = strings.Join(trimmed, ",")
	}
	sorted := make([]string, 0, len(values))
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return b.String(), strings.Join(sorted, ";")
}

// canonicalPath escapes the path as it is sent once more, save for S3.
func canonicalPath(u *url.URL, service string) string {
	path := cmp.Or(u.EscapedPath(), "/")
	if service == "s3" {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = awsEscape(segment)
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(query string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{awsEscape(unescape(name)), awsEscape(unescape(value))})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	joined := make([]string, len(pairs))
	for i, p := range pairs {
		joined[i] = p.name + "=" + p.value
	}
	return strings.Join(joined, "&")
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// awsEscape escapes everything but the unreserved characters of RFC 3986.
func awsEscape(s string) string {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + string(upper[c>>4]) + string(upper[c&15]))
	}
	return b.String()
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
