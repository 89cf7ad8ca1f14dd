package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// scheme is a signature scheme, made from its description.
type scheme struct {
	spec  catalog.SignatureSpec
	parts []catalog.SignedPart
	// spellings are the headers to look at. The first of which any is there
	// counts alone: headers of two are never mixed.
	spellings []spelling
	// keys verify; certs gives the key that a delivery names instead.
	keys  []key
	certs *certKeys
	// publicURL stands before the request's target in {url}.
	publicURL string
	// oracle says that somebody may have a token signed by a challenge.
	oracle bool
}

// spelling names the places of one spelling of a scheme.
type spelling struct {
	signatures []string
	timestamp  catalog.Source
	id         catalog.Source
}

func spellingOf(s catalog.SignatureSpec) spelling {
	var out spelling
	if s.Header != "" {
		out.signatures = append([]string{s.Header}, s.ExtraHeaders...)
	}
	out.timestamp, _ = catalog.ParseSource(s.Timestamp, "header", "body", "key")
	out.id, _ = catalog.ParseSource(s.ID, "header", "body")
	return out
}

func (s spelling) headers() []string {
	names := slices.Clone(s.signatures)
	for _, source := range []catalog.Source{s.timestamp, s.id} {
		if source.Kind == "header" {
			names = append(names, source.Name)
		}
	}
	return names
}

// claim is what a delivery claims of itself, before it is proven.
type claim struct {
	timestamp, id string
	signatures    []signature
}

// signature is one signature of a delivery, and the key of the list it stood under.
type signature struct{ version, text string }

// maxSignatures bounds the signatures of one delivery: senders send one for
// each secret that is in use.
const maxSignatures = 32

// read takes the claim out of a delivery. It fails for everything that is
// missing, repeated or malformed.
func (s *scheme) read(r Request) (claim, error) {
	set := s.spellings[0]
	for _, candidate := range s.spellings {
		if slices.ContainsFunc(candidate.headers(), func(name string) bool { return len(r.Header.Values(name)) > 0 }) {
			set = candidate
			break
		}
	}
	c, err := s.readSignatures(set, r)
	if err != nil {
		return claim{}, err
	}
	if set.timestamp.Kind == "header" || set.timestamp.Kind == "body" {
		if c.timestamp, err = required(r, set.timestamp); err != nil {
			return claim{}, err
		}
	}
	if set.id.Kind != "" {
		if c.id, err = required(r, set.id); err != nil {
			return claim{}, err
		}
		if c.id == "" || s.endsElsewhere(c.id) {
			return claim{}, refuse("id is empty or holds the text that ends it")
		}
	}
	return c, nil
}

// endsElsewhere reports that an id holds the text that stands after it in the
// signed text: it could be read as another id with another timestamp.
func (s *scheme) endsElsewhere(id string) bool {
	for i, part := range s.parts {
		if part.Variable == "id" && i+1 < len(s.parts) && s.parts[i+1].Text != "" {
			return strings.Contains(id, s.parts[i+1].Text)
		}
	}
	return false
}

func required(r Request, source catalog.Source) (string, error) {
	if source.Kind == "header" {
		return single(r.Header, source.Name)
	}
	text, ok := r.at(source)
	if !ok {
		return "", refuse("a required field of the body is missing")
	}
	return text, nil
}

func (s *scheme) readSignatures(set spelling, r Request) (claim, error) {
	if s.spec.BodyField != "" {
		text, err := required(r, catalog.Source{Kind: "body", Name: s.spec.BodyField})
		return claim{signatures: []signature{{text: text}}}, err
	}
	var all claim
	found := false
	for i, name := range set.signatures {
		values := r.Header.Values(name)
		if i > 0 && len(values) == 0 {
			continue
		}
		if s.spec.Parse != catalog.ParseRepeated || len(values) == 0 {
			value, err := single(r.Header, name)
			if err != nil {
				return claim{}, err
			}
			values = []string{value}
		}
		for _, value := range values {
			c, err := readSignatureHeader(s.spec, set.timestamp, value)
			if err != nil {
				return claim{}, err
			}
			if found && c.timestamp != all.timestamp {
				return claim{}, refuse("signature headers hold two timestamps")
			}
			found, all.timestamp = true, c.timestamp
			all.signatures = append(all.signatures, c.signatures...)
		}
	}
	if len(all.signatures) > maxSignatures {
		return claim{}, refuse("too many signatures")
	}
	return all, nil
}

// verify checks the claim of a delivery against every key.
func (s *scheme) verify(now time.Time, r Request) error {
	c, err := s.read(r)
	if err != nil {
		return err
	}
	if s.spec.Timestamp != "" {
		if err := s.checkTime(c.timestamp, now); err != nil {
			return err
		}
	}
	keys := s.keys
	if s.certs != nil {
		fetched, err := s.certs.key(now, r, s.spec)
		if err != nil {
			return err
		}
		// The key is the sender's; the setting says whose deliveries they are.
		keys = nil
		for _, account := range s.accounts() {
			k := fetched
			k.secret, k.until = account.secret, account.until
			keys = append(keys, k)
		}
	}
	// Every key is tried on every signature, whatever has matched before.
	matched, live := false, false
	for _, k := range keys {
		if !k.live(now) {
			continue
		}
		live = true
		pieces, err := s.pieces(c, r, k.secret)
		if err != nil {
			return err
		}
		good := k.prepare(pieces)
		for _, sent := range c.signatures {
			if k.version != "" && k.version != sent.version {
				continue
			}
			if good(sent.text) {
				matched = true
			}
		}
	}
	switch {
	case !live:
		return refuse("every secret has expired")
	case !matched:
		return refuse("no signature matches")
	}
	return nil
}

// accounts are what stands for {secret} with a fetched key; one that is empty
// for a scheme without it.
func (s *scheme) accounts() []key {
	if len(s.keys) == 0 && !slices.Contains(s.parts, catalog.SignedPart{Variable: "secret"}) {
		return []key{{}}
	}
	return s.keys
}

func (s *scheme) checkTime(text string, now time.Time) error {
	past, future := s.spec.Tolerance, s.spec.FutureTolerance
	if past == 0 {
		past = DefaultTolerance
	}
	if future == 0 {
		future = past
	}
	return checkTimestamp(text, s.spec.TimestampUnit, now, past, future)
}

// tokenPattern is what a challenge may have signed. A signed text of this form
// proves nothing where a challenge signs what strangers send.
var tokenPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// pieces returns the signed text.
func (s *scheme) pieces(c claim, r Request, secret string) ([][]byte, error) {
	pieces := make([][]byte, 0, len(s.parts))
	for _, part := range s.parts {
		var piece []byte
		switch part.Variable {
		case "":
			piece = []byte(part.Text)
		case "body":
			piece = r.Body
		case "timestamp":
			piece = []byte(c.timestamp)
		case "id":
			piece = []byte(c.id)
		case "method":
			piece = []byte(r.method())
		case "url":
			piece = []byte(s.publicURL + r.URI)
		case "path":
			piece = []byte(r.path())
		case "secret":
			piece = []byte(secret)
		case "body_sha256":
			sum := sha256.Sum256(r.Body)
			piece = []byte(hex.EncodeToString(sum[:]))
		case "body_crc32":
			piece = strconv.AppendUint(nil, uint64(crc32.ChecksumIEEE(r.Body)), 10)
		case "sorted_form":
			form, err := sortedForm(r)
			if err != nil {
				return nil, err
			}
			piece = []byte(form)
		}
		pieces = append(pieces, piece)
	}
	if s.oracle {
		size := 0
		for _, piece := range pieces {
			size += len(piece)
		}
		if size <= 100 && tokenPattern.Match(slices.Concat(pieces...)) {
			return nil, refuse("signed text is one that the challenge would sign for anybody")
		}
	}
	return pieces, nil
}

// bodyHashParameter is the query parameter that binds a body which is no form.
const bodyHashParameter = "bodySHA256"

// sortedForm returns the names and values of a form, sorted by name, and "" for
// another body, which must be bound by its hash in the query.
func sortedForm(r Request) (string, error) {
	hash, bound := r.query(bodyHashParameter)
	sum := sha256.Sum256(r.Body)
	if bound && hash != hex.EncodeToString(sum[:]) {
		return "", refuse("hash of the body in the query differs")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		if !bound && len(r.Body) > 0 {
			return "", refuse("body is no form and its hash is not in the query")
		}
		return "", nil
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return "", refuse("form is malformed")
	}
	// Names and values are signed run together. Senders write the sign between
	// them also where the value is empty; without it, name and value could swap.
	for pair := range strings.SplitSeq(string(r.Body), "&") {
		if pair != "" && !strings.Contains(pair, "=") {
			return "", refuse("form is malformed")
		}
	}
	var names []string
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		values := form[name]
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			b.WriteString(name)
			b.WriteString(value)
		}
	}
	return b.String(), nil
}

// newScheme makes a scheme without keys.
func newScheme(spec catalog.SignatureSpec, publicURL string) (*scheme, error) {
	parts, err := spec.Parts()
	if err != nil {
		return nil, err
	}
	s := &scheme{spec: spec, parts: parts, spellings: []spelling{spellingOf(spec)}, publicURL: publicURL}
	if slices.Contains(parts, catalog.SignedPart{Variable: "url"}) {
		if publicURL == "" {
			return s, fmt.Errorf("the sender signs the address it calls; set public_url, since the request's own Host can be forged")
		}
	}
	return s, nil
}

// credentials are the headers that carry signatures.
func (s *scheme) credentials() []string {
	var names []string
	for _, set := range s.spellings {
		for _, name := range set.signatures {
			names = append(names, http.CanonicalHeaderKey(name))
		}
	}
	return names
}
