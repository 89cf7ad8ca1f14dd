package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// keySource is a place where a sender puts its id of a delivery: a header, or
// a path of object keys in a JSON body.
type keySource struct {
	header string
	path   []string
}

// maxKeyText is the longest id that is used as it is; of longer ones the hash is.
const maxKeyText = 256

func parseKeySource(text string) (keySource, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "header":
		if validHeaderName(rest) {
			return keySource{header: http.CanonicalHeaderKey(rest)}, nil
		}
	case "body":
		path := strings.Split(rest, ".")
		valid := true
		for _, key := range path {
			valid = valid && key != ""
		}
		if valid {
			return keySource{path: path}, nil
		}
	}
	return keySource{}, fmt.Errorf(`DeliveryKey %q is neither "header:Name" nor "body:path.to.id"`, text)
}

// DeliveryKey returns the key by which a delivery is known again: the sender's
// id at the first declared place that holds one, else the hash of the body. The
// text says where it was found and of what kind it is, so distinct ids never
// share a key; it is never empty.
func (v *Verifier) DeliveryKey(h http.Header, body []byte) string {
	for _, source := range v.keys {
		if key := source.find(h, body); key != "" {
			return key
		}
	}
	return "sha256:" + hashText(body)
}

func (s keySource) find(h http.Header, body []byte) string {
	if s.header != "" {
		// A repeated id says nothing: which one is meant?
		values := h.Values(s.header)
		if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
			return ""
		}
		return "header " + s.header + " " + keyText(values[0])
	}
	raw := json.RawMessage(body)
	for _, key := range s.path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return ""
		}
		raw = object[key]
	}
	raw = bytes.TrimSpace(raw)
	where := "body " + keyText(strings.Join(s.path, ".")) + " "
	var text string
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '"':
		if json.Unmarshal(raw, &text) != nil || strings.TrimSpace(text) == "" {
			return ""
		}
		return where + keyText(text)
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		// The digits as they came: large numbers must not collide by rounding.
		return where + "number " + keyText(string(raw))
	}
	return ""
}

// keyText writes an id so that two ids never share a text, whatever bytes they
// hold: quoted, or as a hash, which begins without a quote.
func keyText(id string) string {
	if len(id) > maxKeyText {
		return "sha256:" + hashText([]byte(id))
	}
	return strconv.QuoteToASCII(id)
}

// DeliveryID returns the sender's own id within a delivery key, as it was sent,
// or "sha256:…" where the sender gave none or one of more than 256 bytes.
func DeliveryID(key string) string {
	_, rest, _ := strings.Cut(key, " ")
	switch {
	case strings.HasPrefix(key, "header "):
		_, rest, _ = strings.Cut(rest, " ")
	case strings.HasPrefix(key, "body "):
		path, err := strconv.QuotedPrefix(rest)
		if err != nil {
			// A path of more than 256 bytes was hashed.
			path, _, _ = strings.Cut(rest, " ")
		}
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, path), " ")
		rest = strings.TrimPrefix(rest, "number ")
	default:
		return key
	}
	if id, err := strconv.Unquote(rest); err == nil {
		return id
	}
	return rest
}

func hashText(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
