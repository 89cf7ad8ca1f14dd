package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// maxKeyText is the longest id that is used as it is; of longer ones the hash is.
const maxKeyText = 256

// DeliveryKey returns the key by which a delivery is known again: the sender's
// id at the first declared place that holds one, else the hash of the body. The
// text says where it was found and of what kind it is, so distinct ids never
// share a key; it is never empty.
func (v *Verifier) DeliveryKey(h http.Header, body []byte) string {
	for _, source := range v.keys {
		if key := findKey(source, h, body); key != "" {
			return key
		}
	}
	return "sha256:" + hashText(body)
}

func findKey(s catalog.Source, h http.Header, body []byte) string {
	if s.Kind == "header" {
		// A repeated id says nothing: which one is meant?
		values := h.Values(s.Name)
		if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
			return ""
		}
		return "header " + s.Name + " " + keyText(values[0])
	}
	text, quoted, ok := bodyField(body, strings.Split(s.Name, "."))
	if !ok || strings.TrimSpace(text) == "" {
		return ""
	}
	where := "body " + keyText(s.Name) + " "
	if quoted {
		return where + keyText(text)
	}
	return where + "number " + keyText(text)
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
