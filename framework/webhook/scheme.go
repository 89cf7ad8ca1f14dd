package webhook

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // SHA-1 HMACs are what some providers send; New warns about them
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// form says how a signature header is written.
type form uint8

const (
	// formWhole is a prefix and one signature: "sha256=ab…".
	formWhole form = iota
	// formPairs is a list of pairs: "t=1,v1=ab…,v1=cd…".
	formPairs
	// formWords is a list of words: "v1,ab… v1,cd…".
	formWords
)

// headerSet names the headers of one spelling of a scheme. timestamp and id are
// "" where the scheme has none in a header of its own.
type headerSet struct{ signature, timestamp, id string }

type segmentKind uint8

const (
	segmentText segmentKind = iota
	segmentBody
	segmentTimestamp
	segmentID
)

// segment is one part of the signed text.
type segment struct {
	kind segmentKind
	text string
}

// scheme is an HMAC scheme as data.
type scheme struct {
	// sets are the spellings of the headers. The first of which any header is
	// there counts alone: headers of two sets are never mixed.
	sets []headerSet
	form form
	// prefix stands before the signature of formWhole.
	prefix string
	// version is the key of the signatures that count in a list.
	version string
	// timeKey is the key of the timestamp in formPairs.
	timeKey string
	signed  []segment
	hash    func() hash.Hash
	// encode writes a digest as the scheme does.
	encode func([]byte) string
	// unpadded also accepts base64 without its padding.
	unpadded bool
	// key turns a secret of the connection into the key of the HMAC, or says
	// what is wrong with it.
	key       func(secret string) ([]byte, error)
	tolerance time.Duration
}

// claim is what the headers of a delivery claim, before it is proven.
type claim struct {
	timestamp, id string
	signatures    []string
}

// maxSignatures bounds the signatures of one delivery: senders send one for
// each secret that is in use.
const maxSignatures = 32

// read takes the claim out of the header. It fails for every header that is
// missing, repeated or malformed.
func (s *scheme) read(h http.Header) (claim, error) {
	set := s.sets[0]
	for _, candidate := range s.sets {
		if len(h.Values(candidate.signature))+len(h.Values(candidate.timestamp))+len(h.Values(candidate.id)) > 0 {
			set = candidate
			break
		}
	}
	value, err := single(h, set.signature)
	if err != nil {
		return claim{}, err
	}
	var c claim
	switch s.form {
	case formPairs:
		c, err = readPairs(value, s.timeKey, s.version)
	case formWords:
		c, err = readWords(value, s.version)
	default:
		c, err = readWhole(value, s.prefix)
	}
	if err != nil {
		return claim{}, err
	}
	if set.timestamp != "" {
		if c.timestamp, err = single(h, set.timestamp); err != nil {
			return claim{}, err
		}
	}
	if set.id != "" {
		if c.id, err = single(h, set.id); err != nil {
			return claim{}, err
		}
		// Id, timestamp and body are joined by dots: an id with a dot in it
		// could be read as another id with another timestamp.
		if c.id == "" || strings.Contains(c.id, ".") {
			return claim{}, refuse("id header is empty or holds a dot")
		}
	}
	return c, nil
}

// verify checks the claim of a delivery against every key.
func (s *scheme) verify(keys [][]byte, now time.Time, r Request) error {
	c, err := s.read(r.Header)
	if err != nil {
		return err
	}
	if s.timed() {
		if err := checkTimestamp(c.timestamp, now, s.tolerance); err != nil {
			return err
		}
	}
	// Every key is tried on every signature, whatever has matched before.
	matched := false
	for _, key := range keys {
		want := s.encode(s.digest(key, c.timestamp, c.id, r.Body))
		for _, got := range c.signatures {
			if hmac.Equal([]byte(got), []byte(want)) {
				matched = true
			}
			if s.unpadded && hmac.Equal([]byte(got), []byte(strings.TrimRight(want, "="))) {
				matched = true
			}
		}
	}
	if !matched {
		return refuse("no signature matches")
	}
	return nil
}

func (s *scheme) digest(key []byte, timestamp, id string, body []byte) []byte {
	mac := hmac.New(s.hash, key)
	for _, part := range s.signed {
		switch part.kind {
		case segmentBody:
			mac.Write(body)
		case segmentTimestamp:
			mac.Write([]byte(timestamp))
		case segmentID:
			mac.Write([]byte(id))
		default:
			mac.Write([]byte(part.text))
		}
	}
	return mac.Sum(nil)
}

// timed reports whether a timestamp is signed.
func (s *scheme) timed() bool {
	for _, part := range s.signed {
		if part.kind == segmentTimestamp {
			return true
		}
	}
	return false
}

// declaredScheme builds the scheme that an author describes. It returns every
// error at once.
func declaredScheme(spec catalog.SignatureSpec) (*scheme, error) {
	var errs []error
	timestampHeader := strings.TrimPrefix(spec.Timestamp, "header:")
	s := &scheme{
		sets: []headerSet{{signature: http.CanonicalHeaderKey(spec.Header), timestamp: http.CanonicalHeaderKey(timestampHeader)}},
		form: formWhole, prefix: spec.Prefix, key: textKey, tolerance: spec.Tolerance,
	}
	if !validHeaderName(spec.Header) {
		errs = append(errs, fmt.Errorf("Signature.Header %q is no header name; name the header that carries the signature", spec.Header))
	}
	switch spec.Algorithm {
	case "", "sha256":
		s.hash = sha256.New
	case "sha512":
		s.hash = sha512.New
	case "sha1":
		s.hash = sha1.New
	default:
		errs = append(errs, fmt.Errorf("Signature.Algorithm %q is unknown; use sha256, sha512 or sha1", spec.Algorithm))
	}
	switch spec.Encoding {
	case "", "hex":
		s.encode = hex.EncodeToString
	case "base64":
		s.encode = base64.StdEncoding.EncodeToString
	case "base64url":
		s.encode, s.unpadded = base64.URLEncoding.EncodeToString, true
	default:
		errs = append(errs, fmt.Errorf("Signature.Encoding %q is unknown; use hex, base64 or base64url", spec.Encoding))
	}
	signed, err := parseTemplate(spec.Signed)
	if err != nil {
		errs = append(errs, err)
	}
	s.signed = signed
	switch {
	case s.timed() && !validHeaderName(timestampHeader):
		errs = append(errs, errors.New("Signature.Signed holds {timestamp}; name in Signature.Timestamp the header that carries it"))
	case !s.timed() && timestampHeader != "":
		errs = append(errs, errors.New("Signature.Timestamp is set, but Signature.Signed leaves {timestamp} out: an unsigned timestamp proves nothing; add {timestamp}, or remove the header"))
	}
	switch {
	case s.tolerance == 0:
		s.tolerance = DefaultTolerance
	case s.tolerance < time.Second:
		errs = append(errs, fmt.Errorf("Signature.Tolerance %s is shorter than a second; timestamps are whole seconds", spec.Tolerance))
	}
	return s, errors.Join(errs...)
}

// parseTemplate reads the signed text of a declared scheme: {body} once, and
// {timestamp} at most once.
func parseTemplate(text string) ([]segment, error) {
	if text == "" {
		text = "{body}"
	}
	var parts []segment
	seen := map[segmentKind]int{}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			parts = append(parts, segment{text: before})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		kind, known := map[string]segmentKind{"body": segmentBody, "timestamp": segmentTimestamp}[name]
		if !closed || !known {
			return nil, fmt.Errorf("Signature.Signed %q holds something else than {body} and {timestamp} in braces", text)
		}
		seen[kind]++
		parts = append(parts, segment{kind: kind})
		rest = tail
	}
	if seen[segmentBody] != 1 || seen[segmentTimestamp] > 1 {
		return nil, fmt.Errorf("Signature.Signed %q must hold {body} once and {timestamp} at most once", text)
	}
	return parts, nil
}

// validHeaderName reports whether s is a field name (RFC 9110, section 5.1).
func validHeaderName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
