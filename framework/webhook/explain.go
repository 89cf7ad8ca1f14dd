package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// Explanation says whether a captured request verifies, and else what differs.
type Explanation struct {
	// Verified says that the endpoint accepts the request at the given time.
	Verified bool
	// Reason is what [ReasonOf] says of the refusal.
	Reason string
	// Findings are what was found by trying variants, most telling first. They
	// hold nothing of any secret.
	Findings []string
}

// Explain verifies a captured request as the endpoint would at now. Where it is
// refused, variants are tried: of the time, the body, the headers, the address
// and the secrets. It is for somebody who holds the secrets anyway; what it
// says would help a forger.
func Explain(spec catalog.EndpointSpec, c Config, now time.Time, r Request) (Explanation, error) {
	v, err := Open(spec, c)
	if err != nil {
		return Explanation{}, err
	}
	err = v.Verify(now, r)
	e := Explanation{Verified: err == nil, Reason: ReasonOf(err)}
	if e.Verified {
		return e, nil
	}
	for _, s := range v.schemes {
		e.scheme(s, spec, now, r)
	}
	for _, t := range v.tokens {
		e.token(t, r)
	}
	if resolved, _ := resolve(spec); resolved.Auth == catalog.AuthBearer || resolved.Auth == catalog.AuthBasic || resolved.Auth == catalog.AuthAPIKey {
		e.credential(resolved, c.Secrets[settingOf(spec)], now, r)
	}
	if len(v.allowed) > 0 && !contains(v.allowed, r.Remote) {
		e.found("the sender's address %s is not in allowed_ips; behind a proxy, name it in trusted_proxies", r.Remote)
	}
	if len(e.Findings) == 0 {
		e.rest(v, r)
	}
	return e, nil
}

func (e *Explanation) found(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(e.Findings, text) {
		e.Findings = append(e.Findings, text)
	}
}

// variant is one thing that may differ.
type variant struct {
	text    string
	request Request
	scheme  *scheme
}

// scheme finds out what differs for one signature scheme.
func (e *Explanation) scheme(s *scheme, spec catalog.EndpointSpec, now time.Time, r Request) {
	if e.headers(s, r) {
		return
	}
	c, err := s.read(r)
	if err == nil && s.spec.Timestamp != "" {
		e.timestamp(s, c, now)
	}
	e.form(s, r)
	timeless := *s
	timeless.spec.Tolerance, timeless.spec.FutureTolerance = 1<<62, 1<<62
	if timeless.keys == nil && timeless.certs != nil {
		e.found("the key is fetched from the address in the request; only that key can tell more")
		return
	}
	base := &timeless
	good := func(v variant) bool { return v.scheme.verify(now, v.request) == nil }
	if good(variant{"", r, base}) {
		e.found("the signature itself is right: only the time is refused")
		return
	}
	bodies, headers := bodyVariants(r, base), headerVariants(r, base)
	single := slices.Concat(bodies, headers, addressVariants(r, base), secretVariants(r, base, spec, now))
	matched := false
	for _, v := range single {
		if good(v) {
			e.found("%s", v.text)
			matched = true
		}
	}
	if matched {
		return
	}
	for _, v := range slices.Concat(templateVariants(r, base), timeVariants(r, base)) {
		if good(v) {
			e.found("%s", v.text)
			return
		}
	}
	if len(e.Findings) > 0 {
		return
	}
	for _, outer := range headers {
		for _, inner := range slices.Concat(bodyVariants(outer.request, outer.scheme), secretVariants(outer.request, outer.scheme, spec, now)) {
			if good(inner) {
				e.found("%s; and %s", outer.text, inner.text)
				return
			}
		}
	}
}

// headers tells which headers are missing or repeated, and reports whether any is.
func (e *Explanation) headers(s *scheme, r Request) bool {
	set := s.spellings[0]
	for _, candidate := range s.spellings {
		if slices.ContainsFunc(candidate.headers(), func(name string) bool { return len(r.Header.Values(name)) > 0 }) {
			set = candidate
			break
		}
	}
	wrong := false
	for i, name := range set.headers() {
		extra := i > 0 && i < len(set.signatures)
		switch n := len(r.Header.Values(name)); {
		case n == 0 && !extra:
			e.found("header %s is missing: a proxy removed it, or this is not the sender's request", http.CanonicalHeaderKey(name))
			wrong = true
		case n > 1 && s.spec.Parse != catalog.ParseRepeated:
			e.found("header %s is there %d times", http.CanonicalHeaderKey(name), n)
			wrong = true
		}
	}
	return wrong
}

func (e *Explanation) timestamp(s *scheme, c claim, now time.Time) {
	if s.checkTime(c.timestamp, now) == nil {
		return
	}
	for _, unit := range []string{"s", "ms", "rfc3339"} {
		at, err := readTimestamp(c.timestamp, unit)
		if err != nil || at.Year() < 2000 || at.Year() > 2200 {
			continue
		}
		if unit != s.spec.TimestampUnit && (unit != "s" || s.spec.TimestampUnit != "") {
			e.found("the timestamp is written in %s, not as the endpoint declares (timestamp_unit)", unit)
		}
		age := now.Sub(at).Round(time.Second)
		switch {
		case len(e.Findings) > 0 && age.Abs() <= DefaultTolerance:
			// Read as it is written, it is of now.
		case age >= 0:
			e.found("the timestamp %s is %s old: a replay, a late retry, or a clock that is off; for a captured request, give the time it came with --at", at.UTC().Format(time.RFC3339), age)
		default:
			e.found("the timestamp %s lies %s in the future: a clock is off", at.UTC().Format(time.RFC3339), -age)
		}
		return
	}
	e.found("the timestamp is not written as the endpoint declares")
}

func bodyVariants(r Request, s *scheme) []variant {
	var list []variant
	add := func(text string, body []byte) {
		same := func(v variant) bool { return bytes.Equal(v.request.Body, body) }
		if !bytes.Equal(body, r.Body) && !slices.ContainsFunc(list, same) {
			changed := r
			changed.Body = body
			list = append(list, variant{text, changed, s})
		}
	}
	b := r.Body
	add("the body here has a line break at its end that the sender did not sign (an editor or echo adds one)", bytes.TrimRight(b, "\r\n"))
	add("the body here lacks the line break at its end that the sender signed", append(slices.Clone(b), '\n'))
	add("the body here has CR LF line breaks, the sender signed LF", bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
	add("the body here has LF line breaks, the sender signed CR LF", bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
	add("the body here has white space around it that the sender did not sign", bytes.TrimSpace(b))
	add("the body here begins with a byte order mark that the sender did not sign", bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	const reserialised = "the body here was re-serialised: the sender signed it %s; verify and capture the raw bytes"
	var compact, indented, four bytes.Buffer
	if json.Compact(&compact, b) == nil {
		add(fmt.Sprintf(reserialised, "without white space"), compact.Bytes())
		add(fmt.Sprintf(reserialised, "with a space after each comma and colon"), spaced(compact.Bytes()))
		_ = json.Indent(&indented, bytes.TrimSpace(b), "", "  ")
		_ = json.Indent(&four, bytes.TrimSpace(b), "", "    ")
		add(fmt.Sprintf(reserialised, "indented by two"), indented.Bytes())
		add(fmt.Sprintf(reserialised, "indented by four"), four.Bytes())
		var tree any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(&tree) == nil {
			for _, html := range []bool{false, true} {
				var sorted bytes.Buffer
				encoder := json.NewEncoder(&sorted)
				encoder.SetEscapeHTML(html)
				if encoder.Encode(tree) == nil {
					text := bytes.TrimRight(sorted.Bytes(), "\n")
					add(fmt.Sprintf(reserialised, "with sorted keys, or with other escapes"), text)
					add(fmt.Sprintf(reserialised, "with non-ASCII characters as \\u escapes"), asciiJSON(text))
				}
			}
		}
		add(fmt.Sprintf(reserialised, "with non-ASCII characters as \\u escapes"), asciiJSON(b))
		add(fmt.Sprintf(reserialised, "with slashes escaped"), bytes.ReplaceAll(b, []byte("/"), []byte(`\/`)))
	}
	return list
}

// spaced adds the space after commas and colons that some languages write.
func spaced(compact []byte) []byte {
	var out []byte
	quoted := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		out = append(out, c)
		switch {
		case quoted && c == '\\' && i+1 < len(compact):
			i++
			out = append(out, compact[i])
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

func asciiJSON(b []byte) []byte {
	var out bytes.Buffer
	for _, c := range string(b) {
		switch {
		case c < 0x80:
			out.WriteRune(c)
		case c > 0xffff:
			c -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(c>>10), 0xdc00+(c&0x3ff))
		default:
			fmt.Fprintf(&out, `\u%04x`, c)
		}
	}
	return out.Bytes()
}

func headerVariants(r Request, s *scheme) []variant {
	var list []variant
	name := ""
	for _, set := range s.spellings {
		for _, candidate := range set.signatures {
			if name == "" && r.Header.Get(candidate) != "" {
				name = candidate
			}
		}
	}
	if name == "" {
		return nil
	}
	value := r.Header.Get(name)
	add := func(text, changed string) {
		if changed == value || changed == "" {
			return
		}
		h := r.Header.Clone()
		h.Set(name, changed)
		request := r
		request.Header = h
		list = append(list, variant{text, request, s})
	}
	add("the signature header has white space or quotes around it", strings.Trim(value, " \t\r\n\"'"))
	add("the signature is in upper case; the sender writes lower case", strings.ToLower(value))
	if p := s.spec.Prefix; p != "" {
		if i := strings.Index(value, "="); i >= 0 && i < 10 {
			add(fmt.Sprintf("the signature header has another prefix than %q", p), p+value[i+1:])
		}
		add(fmt.Sprintf("the signature header lacks its prefix %q", p), p+value)
	}
	for _, other := range []string{"hex", "base64", "base64url"} {
		changed := *s
		changed.spec.Encoding = other
		text := fmt.Sprintf("the signature is written in %s, not as the endpoint declares (encoding)", other)
		if other != s.spec.Encoding && (other != "hex" || s.spec.Encoding != "") {
			if rekeyed, ok := rekey(changed, "", changed.spec); ok {
				list = append(list, variant{text, r, rekeyed})
			}
		}
	}
	return list
}

// rekey makes the HMAC keys of a scheme anew, as another description says. ok is
// false for schemes with other keys.
func rekey(s scheme, cut string, spec catalog.SignatureSpec) (*scheme, bool) {
	s.spec = spec
	var keys []key
	for _, old := range s.keys {
		if old.sign == nil || old.secret == "" || strings.HasPrefix(old.secret, "-----BEGIN") || strings.HasPrefix(old.secret, "wh") && !strings.HasPrefix(old.secret, secretPrefix) {
			return nil, false
		}
		secret := strings.TrimPrefix(old.secret, cut)
		raw := []byte(secret)
		var err error
		switch spec.KeyEncoding {
		case "hex":
			raw, err = hex.DecodeString(secret)
		case "base64":
			raw, err = decodeBase64(secret)
		}
		if err != nil {
			return nil, false
		}
		k := hmacKey(raw, spec.Algorithm, encodingOf(spec.Encoding))
		k.secret, k.until, k.version = old.secret, old.until, old.version
		keys = append(keys, k)
	}
	s.keys = keys
	return &s, len(keys) > 0
}

func addressVariants(r Request, s *scheme) []variant {
	if !s.signs("url") {
		return nil
	}
	var list []variant
	add := func(base, uri string) {
		changed, request := *s, r
		changed.publicURL, request.URI = base, uri
		if base != s.publicURL || uri != r.URI {
			list = append(list, variant{fmt.Sprintf("the sender signed the address %s; set public_url, or the address at the sender, so that they agree", base+r.path()), request, &changed})
		}
	}
	u, err := url.Parse(s.publicURL)
	if err != nil {
		return nil
	}
	hosts := []string{u.Host, u.Hostname()}
	if host := r.Header.Get("Host"); host != "" {
		hosts = append(hosts, host)
	}
	for _, scheme := range []string{"https", "http"} {
		for _, host := range hosts {
			for _, prefix := range slices.Compact([]string{u.Path, ""}) {
				add(scheme+"://"+host+prefix, r.URI)
				add(scheme+"://"+host+prefix, r.path())
				add(scheme+"://"+host+prefix, strings.TrimSuffix(r.path(), "/")+"/")
			}
		}
	}
	return list
}

func secretVariants(r Request, s *scheme, spec catalog.EndpointSpec, now time.Time) []variant {
	var list []variant
	forever := *s
	forever.keys = nil
	for _, k := range s.keys {
		if !k.live(now) {
			k.until = time.Time{}
			forever.keys = append(forever.keys, k)
		}
	}
	if len(forever.keys) > 0 {
		list = append(list, variant{"the sender signs with a secret that has expired here (until)", r, &forever})
	}
	add := func(text, cut, encoding, algorithm string) {
		changed := s.spec
		changed.KeyEncoding, changed.Algorithm = encoding, algorithm
		if rekeyed, ok := rekey(*s, cut, changed); ok {
			list = append(list, variant{text, r, rekeyed})
		}
	}
	algorithm := s.spec.Algorithm
	for _, cut := range []string{"", secretPrefix} {
		prefixed := ""
		if cut != "" {
			prefixed = ", without " + cut
		}
		add("the secret counts as text for the sender"+prefixed+" (key_encoding utf8)", cut, "utf8", algorithm)
		add("the secret counts as base64 for the sender"+prefixed+" (key_encoding base64)", cut, "base64", algorithm)
		add("the secret counts as hex for the sender"+prefixed+" (key_encoding hex)", cut, "hex", algorithm)
	}
	encoding := s.spec.KeyEncoding
	if p := presets[spec.Auth]; p.key != nil && spec.Auth != catalog.AuthStripe {
		encoding = "base64"
	}
	for _, other := range []string{"sha1", "sha256", "sha512"} {
		if other != algorithm && (other != "sha256" || algorithm != "") {
			add(fmt.Sprintf("the sender signs with %s, not as the endpoint declares (algorithm)", other), "", encoding, other)
		}
	}
	return list
}

// token tells what a JSON web token says of itself.
func (e *Explanation) token(t *tokenCheck, r Request) {
	text, err := t.read(r)
	parts := strings.Split(text, ".")
	if err != nil || len(parts) != 3 {
		e.found("there is no token where the endpoint looks for it")
		return
	}
	var header struct{ Alg, Kid, Iss string }
	var claims map[string]any
	h, _ := base64.RawURLEncoding.DecodeString(parts[0])
	p, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if json.Unmarshal(h, &header) != nil || json.Unmarshal(p, &claims) != nil {
		e.found("the token cannot be decoded")
		return
	}
	e.found("the token says: alg %q, kid %q, iss %v, aud %v, exp %v; the endpoint wants alg %s, iss %q", header.Alg, header.Kid, claims["iss"], claims["aud"], claims["exp"], strings.Join(t.spec.Algorithms, " or "), t.spec.Issuer)
}

// credential finds out how a credential differs.
func (e *Explanation) credential(spec catalog.EndpointSpec, secrets []Secret, now time.Time, r Request) {
	sent, err := credentialReader(spec)(r)
	if err != nil {
		e.found("there is no credential where the endpoint looks for it: %s", ReasonOf(err))
		return
	}
	same := func(a, b string) bool { return a != "" && sameText(a, b) }
	for _, s := range secrets {
		text := string(sent)
		switch {
		case same(text, s.Value) && !(key{until: s.Until}).live(now):
			e.found("the sender uses a secret that has expired here (until)")
		case same(strings.TrimSpace(text), strings.TrimSpace(s.Value)):
			e.found("the credential has white space around it")
		case same(strings.Trim(text, `"'`), s.Value):
			e.found("the credential has quotes around it")
		case same(strings.ToLower(text), strings.ToLower(s.Value)):
			e.found("the credential differs in upper and lower case")
		case strings.HasPrefix(text, "Bearer ") && same(text[len("Bearer "):], s.Value):
			e.found("the credential is sent with \"Bearer \" in front, which the endpoint takes for a part of it")
		}
	}
	if len(e.Findings) == 0 {
		e.found("the credential, which has %d bytes, is none of those that are set here: compare it with the one that the sender is given", len(sent))
	}
}
