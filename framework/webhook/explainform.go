package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// form tells how the signature header should read where it cannot be read.
func (e *Explanation) form(s *scheme, r Request) {
	for _, set := range s.spellings {
		for _, name := range set.signatures {
			value := r.Header.Get(name)
			if value == "" {
				continue
			}
			if _, err := readSignatureHeader(s.spec, set.timestamp, value); err != nil {
				e.found("header %s must read %s; here it has %s", http.CanonicalHeaderKey(name), s.wants(), shapeOf(s.spec, value))
			}
		}
	}
	if s.signs("sorted_form") && r.Header.Get("Content-Type") == "" {
		e.found("the request has no Content-Type, which says whether the body is a form; give it as the sender sent it, such as application/x-www-form-urlencoded")
	}
}

// wants is the form of the scheme's signature header, with names for its values.
func (s *scheme) wants() string {
	versions := s.spec.VersionKeys
	switch {
	case s.spec.Parse == catalog.ParsePairs:
		time := ""
		if key, found := strings.CutPrefix(s.spec.Timestamp, "key:"); found {
			time = key + "=<time>,"
		}
		return time + strings.Join(versions, "=… or ") + "=<signature>"
	case s.spec.Parse == catalog.ParseWords && len(versions) > 0:
		return strings.Join(versions, ",… or ") + ",<signature>"
	default:
		return s.spec.Prefix + "<signature>"
	}
}

// shapeOf says what a header holds, without its values.
func shapeOf(spec catalog.SignatureSpec, value string) string {
	separator, mark := ",", "="
	switch {
	case spec.Parse == catalog.ParseWords && len(spec.VersionKeys) > 0:
		separator, mark = " ", ","
	case spec.Parse != catalog.ParsePairs:
		return "another beginning"
	}
	var keys []string
	for part := range strings.SplitSeq(value, separator) {
		key, _, found := strings.Cut(part, mark)
		if !found || len(key) > 20 {
			key = "a text without " + strconv.Quote(mark)
		}
		keys = append(keys, strings.TrimSpace(key))
		if len(keys) == maxSignatures {
			break
		}
	}
	return strings.Join(keys, ", ")
}

// timeVariants are the request with each time that the sender may have signed in
// place of the one it names.
func timeVariants(r Request, s *scheme) []variant {
	const searched = 64 << 10 // larger bodies would take long
	c, err := s.read(r)
	if err != nil || !s.signs("timestamp") || s.spec.TimestampUnit != "" && s.spec.TimestampUnit != "s" || len(r.Body) > searched {
		return nil
	}
	sent, err := readTimestamp(c.timestamp, "s")
	if err != nil {
		return nil
	}
	var list []variant
	for off := time.Second; off <= DefaultTolerance; off += time.Second {
		for _, at := range []time.Time{sent.Add(-off), sent.Add(off)} {
			text := writeTimestamp(at, "s")
			changed := r
			changed.Header = r.Header.Clone()
			for _, set := range s.spellings {
				switch set.timestamp.Kind {
				case "header":
					if r.Header.Get(set.timestamp.Name) != "" {
						changed.Header.Set(set.timestamp.Name, text)
					}
				case "key":
					old, replacement := set.timestamp.Name+"="+c.timestamp, set.timestamp.Name+"="+text
					changed.Header.Set(set.signatures[0], strings.Replace(r.Header.Get(set.signatures[0]), old, replacement, 1))
				}
			}
			list = append(list, variant{fmt.Sprintf("the sender signed the timestamp %s, and the request says %s: it was changed on the way, or belongs to another request", text, c.timestamp), changed, s})
		}
	}
	return list
}

// signedTexts are what schemes sign, for a sender that uses another one.
var signedTexts = []string{
	"{body}", "{timestamp}.{body}", "{timestamp}{body}", "{timestamp},{body}", "{timestamp}:{body}", "v0:{timestamp}:{body}", "{id}.{timestamp}.{body}", "{body_sha256}",
	"{url}{body}",
}

// templateVariants are the scheme with another signed text.
func templateVariants(r Request, s *scheme) []variant {
	var list []variant
	for _, text := range signedTexts {
		spec := catalog.SignatureSpec{Signed: text}
		parts, err := spec.Parts()
		if err != nil || slices.Equal(parts, s.parts) {
			continue
		}
		changed := *s
		changed.parts = parts
		own := s.spec.Signed
		if own == "" {
			own = "{body}"
		}
		list = append(list, variant{fmt.Sprintf("the sender signs %s, and the endpoint expects %s: it is of another scheme, or the sender is set up for another version", text, own), r, &changed})
	}
	return list
}

// rest says what to compare when no variant verifies: which of secret and body
// differs, a signature does not tell.
func (e *Explanation) rest(v *Verifier, r Request) {
	if length := r.Header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(r.Body)) {
		e.found("Content-Length says %s bytes, and the body here has %d: it is not the body that was sent", shortened(length), len(r.Body))
	}
	sum := sha256.Sum256(r.Body)
	e.found("no variant that was tried verifies: the secret is another one than the sender's, or the body is not the bytes that it signed, which a signature does not tell apart")
	e.found("the body here has %d bytes, with the SHA-256 %s: compare it with what the sender sent", len(r.Body), hex.EncodeToString(sum[:]))
	for _, s := range v.schemes {
		var sizes []string
		for _, k := range s.keys {
			if k.secret != "" {
				sizes = append(sizes, strconv.Itoa(len(k.secret)))
			}
		}
		if len(sizes) > 0 {
			e.found("the secret here has %s bytes: compare it with the one that the sender shows, and mind that some show one for tests and one for live, or one for each endpoint", strings.Join(sizes, " and "))
		}
		if s.signs("url") {
			e.found("the sender signs the address that it calls, which is %s here (public_url)", s.publicURL+r.path())
		}
	}
}

func shortened(text string) string { return text[:min(len(text), 20)] }
