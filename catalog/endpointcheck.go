package catalog

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Problems returns what is wrong with the declaration, each as a sentence that
// names the field and the way out. It is empty for one that can be verified.
func (s EndpointSpec) Problems() []string {
	p := &problems{}
	p.endpoint(s.withDefaults(), "")
	return p.list
}

// problems collects sentences about one endpoint; at is the path to the part
// of AuthAllOf that is looked at.
type problems struct {
	list []string
	at   string
}

func (p *problems) add(format string, args ...any) {
	p.list = append(p.list, p.at+fmt.Sprintf(format, args...))
}

// signing are the modes that Signature describes.
var signing = []Auth{AuthHMAC, AuthEd25519, AuthECDSA, AuthRSA, AuthCustom}

func (p *problems) endpoint(s EndpointSpec, at string) {
	p.at = at
	switch {
	case s.Auth == "":
		p.add("declares no Auth; set EndpointSpec.Auth")
		return
	case !slices.Contains(Auths(), s.Auth):
		p.add("has the unknown Auth %q; use one of the catalog.Auth constants", s.Auth)
		return
	}
	p.reason(s)
	switch s.Auth {
	case AuthAPIKey:
		switch {
		case s.APIKeyHeader == "" && s.APIKeyQuery == "":
			p.add("is AuthAPIKey without APIKeyHeader; name the header that carries the key")
		case s.APIKeyHeader != "" && s.APIKeyQuery != "":
			p.add("names APIKeyHeader and APIKeyQuery; the key stands in one place, keep that one")
		case s.APIKeyHeader != "" && !validHeaderName(s.APIKeyHeader):
			p.add("APIKeyHeader %q is no header name", s.APIKeyHeader)
		}
	case AuthHMAC, AuthEd25519, AuthECDSA, AuthRSA, AuthCustom:
		p.signature(s)
	case AuthJWT:
		p.jwt(s.JWT)
	case AuthMTLS:
		p.clientNames(s.ClientNames)
	case AuthMessageSignature:
		p.messageSignature(s.MessageSignature)
	case AuthAllOf:
		p.allOf(s)
	default: // nothing to describe
	}
	p.misplaced(s)
	for _, text := range s.AllowedIPs {
		if _, err := ParseNetwork(text); err != nil {
			p.add("AllowedIPs: %s", err)
		}
	}
	for _, text := range s.DeliveryKey {
		if _, err := ParseSource(text, "header", "body"); err != nil {
			p.add("DeliveryKey %s", err)
		}
	}
	for i, c := range s.Challenges {
		p.challenge(s, c, fmt.Sprintf("Challenges[%d]", i))
	}
}

func (p *problems) reason(s EndpointSpec) {
	if s.Auth == AuthNone && strings.TrimSpace(s.Reason) == "" {
		p.add("is AuthNone without a reason; write in Reason why everybody may send to it")
	}
	if s.Auth != AuthNone && s.Reason != "" {
		p.add("has a Reason, which only AuthNone needs; remove it")
	}
}

// misplaced reports fields that the mode does not read: somebody meant another
// mode, or believes in a check that nobody makes.
func (p *problems) misplaced(s EndpointSpec) {
	for _, f := range []struct {
		name  string
		set   bool
		modes []Auth
	}{
		{"APIKeyHeader", s.APIKeyHeader != "", []Auth{AuthAPIKey}},
		{"APIKeyQuery", s.APIKeyQuery != "", []Auth{AuthAPIKey}},
		{"Signature", !s.Signature.zero(), signing},
		{"JWT", s.JWT.Header != "" || len(s.JWT.Algorithms) > 0 || s.JWT.JWKSURL != "" || s.JWT.Issuer != "" || s.JWT.Audience != "" || s.JWT.BodyClaim != "" || s.JWT.Leeway != 0, []Auth{AuthJWT}},
		{"ClientNames", len(s.ClientNames) > 0, []Auth{AuthMTLS}},
		{"MessageSignature", s.MessageSignature.Algorithm != "" || len(s.MessageSignature.Components) > 0, []Auth{AuthMessageSignature}},
		{"AllOf", len(s.AllOf) > 0, []Auth{AuthAllOf}},
		{"SecretSetting", s.SecretSetting != "" && (s.Auth == AuthNone || s.Auth == AuthAllOf), nil},
	} {
		if f.set && (len(f.modes) == 0 || !slices.Contains(f.modes, s.Auth)) {
			p.add("sets %s, which Auth %q does not read; remove it or choose another Auth", f.name, s.Auth)
		}
	}
}

func (p *problems) allOf(s EndpointSpec) {
	if len(s.AllOf) < 2 {
		p.add("is AuthAllOf with fewer than two parts in AllOf; use the Auth of the part")
	}
	for i, part := range s.AllOf {
		switch {
		case part.Auth == AuthAllOf || part.Auth == AuthCustom || part.Auth == AuthNone:
			p.add("AllOf[%d] has Auth %q, which cannot be a part", i, part.Auth)
			continue
		case len(part.AllowedIPs)+len(part.Challenges)+len(part.DeliveryKey) > 0 || part.MaxBody != 0 || part.Deadline != 0:
			p.add("AllOf[%d] sets AllowedIPs, Challenges, DeliveryKey, MaxBody or Deadline; set it on the whole", i)
		}
		outer := p.at
		p.endpoint(part, fmt.Sprintf("%sAllOf[%d] ", outer, i))
		p.at = outer
	}
}

func (s SignatureSpec) zero() bool {
	return s.Header == "" && len(s.ExtraHeaders) == 0 && s.BodyField == "" && s.Parse == "" && s.Prefix == "" && len(s.VersionKeys) == 0 &&
		s.Algorithm == "" && s.Encoding == "" && s.KeyEncoding == "" && s.KeyPrefix == "" && s.Signed == "" && s.ID == "" &&
		s.Timestamp == "" && s.TimestampUnit == "" && s.Tolerance == 0 && s.FutureTolerance == 0 && s.CertURL == "" && len(s.CertHosts) == 0
}

func (p *problems) signature(s EndpointSpec) {
	g := s.Signature
	switch {
	case s.Auth == AuthCustom && g.zero():
		p.add("is AuthCustom without Signature, so that no delivery could ever be verified; describe the scheme in Signature")
		return
	case g.BodyField != "":
		p.add("Signature.BodyField: a signature in the body cannot cover the body; only presets use it")
	case g.Header == "":
		p.add("is Auth %q without Signature.Header; name the header that carries the signature", s.Auth)
	}
	for _, name := range append([]string{g.Header}, g.ExtraHeaders...) {
		if name != "" && !validHeaderName(name) {
			p.add("Signature.Header %q is no header name; name the header that carries the signature", name)
		}
	}
	hashes := []string{"", "sha256", "sha512", "sha1"}
	if s.Auth == AuthEd25519 || s.Auth == AuthECDSA {
		hashes = []string{""}
	}
	p.oneOf("Signature.Algorithm", g.Algorithm, hashes)
	p.oneOf("Signature.Encoding", g.Encoding, []string{"", "hex", "base64", "base64url"})
	p.oneOf("Signature.KeyEncoding", g.KeyEncoding, []string{"", "utf8", "hex", "base64"})
	p.oneOf("Signature.Parse", string(g.Parse), []string{"", string(ParseWhole), string(ParsePairs), string(ParseWords), string(ParseRepeated)})
	p.oneOf("Signature.TimestampUnit", g.TimestampUnit, []string{"", "s", "ms", "rfc3339"})
	switch {
	case g.Parse == ParsePairs && len(g.VersionKeys) == 0:
		p.add("Signature.Parse is pairs without VersionKeys; name the keys whose signatures count, for example \"v1\"")
	case g.Parse != ParsePairs && g.Parse != ParseWords && len(g.VersionKeys) > 0:
		p.add("Signature.VersionKeys is read with Parse pairs and words only")
	case g.Prefix != "" && (g.Parse == ParsePairs || len(g.VersionKeys) > 0):
		p.add("Signature.Prefix is not read in a list with keys; remove it")
	}
	p.signed(g)
	p.sources(g)
	for name, d := range map[string]time.Duration{"Tolerance": g.Tolerance, "FutureTolerance": g.FutureTolerance} {
		if d != 0 && (d < time.Second || d > 24*time.Hour) {
			p.add("Signature.%s %s is not between a second and a day", name, d)
		}
	}
	switch {
	case g.CertURL == "" && len(g.CertHosts) == 0:
	case s.Auth != AuthRSA:
		p.add("Signature.CertURL and CertHosts are for AuthRSA; remove them")
	case g.CertURL == "" || len(g.CertHosts) == 0:
		p.add("Signature.CertURL and CertHosts go together: an address from the delivery is called only at hosts that are named")
	}
	for _, host := range g.CertHosts {
		if !validHost.MatchString(host) {
			p.add("Signature.CertHosts: %q is no host name", host)
		}
	}
}

var validHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

// signed checks what the signature covers.
func (p *problems) signed(g SignatureSpec) {
	parts, err := g.Parts()
	if err != nil {
		p.add("Signature.Signed %s", err)
		return
	}
	has := func(v string) bool { return slices.Contains(parts, SignedPart{Variable: v}) }
	if !has("body") && !has("body_sha256") && !has("body_crc32") && !has("sorted_form") {
		p.add("signs %q, which leaves the body out; add {body}", g.Signed)
	}
	inBody := strings.HasPrefix(g.Timestamp, "body:")
	switch {
	case has("timestamp") && g.Timestamp == "":
		p.add("signs {timestamp} without Signature.Timestamp; say where it is found, for example \"header:X-Acme-Time\"")
	case !has("timestamp") && g.Timestamp != "" && (!inBody || !has("body")):
		p.add("Signature.Timestamp is set, but Signed leaves {timestamp} out: an unsigned timestamp proves nothing; add {timestamp}, or remove it")
	case g.Timestamp == "" && (g.TimestampUnit != "" || g.Tolerance != 0 || g.FutureTolerance != 0):
		p.add("Signature.TimestampUnit, Tolerance and FutureTolerance need a Timestamp; say where it is found, or remove them")
	}
	switch {
	case has("id") && g.ID == "":
		p.add("signs {id} without Signature.ID; say where it is found, for example \"header:X-Acme-Id\"")
	case !has("id") && g.ID != "":
		p.add("Signature.ID is set, but Signed leaves {id} out; add {id}, or name the place in DeliveryKey only")
	}
	for i, part := range parts {
		if part.Variable == "id" && (i+1 == len(parts) || parts[i+1].Text == "") {
			p.add("signs %q: text must stand after {id}, or the id could end anywhere", g.Signed)
		}
	}
}

func (p *problems) sources(g SignatureSpec) {
	timestamp := []string{"header", "body"}
	if g.Parse == ParsePairs {
		timestamp = append(timestamp, "key")
	}
	for _, f := range []struct {
		name, value string
		kinds       []string
	}{{"Timestamp", g.Timestamp, timestamp}, {"ID", g.ID, []string{"header", "body"}}, {"CertURL", g.CertURL, []string{"header", "body"}}} {
		if f.value == "" {
			continue
		}
		if _, err := ParseSource(f.value, f.kinds...); err != nil {
			p.add("Signature.%s %s", f.name, err)
		}
	}
}

var (
	hmacAlgorithms = []string{"HS256", "HS384", "HS512"}
	keyedTokens    = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

func (p *problems) jwt(j JWTSpec) {
	if len(j.Algorithms) == 0 {
		p.add("is AuthJWT without JWT.Algorithms; list those that the sender uses")
	}
	symmetric := 0
	for _, a := range j.Algorithms {
		p.oneOf("JWT.Algorithms", a, append(slices.Clone(hmacAlgorithms), keyedTokens...))
		if slices.Contains(hmacAlgorithms, a) {
			symmetric++
		}
	}
	if symmetric > 0 && (symmetric < len(j.Algorithms) || j.JWKSURL != "") {
		p.add("JWT.Algorithms mixes HS with published keys: a public key would do as secret; keep one kind")
	}
	if j.Header != "" && !validHeaderName(j.Header) {
		p.add("JWT.Header %q is no header name", j.Header)
	}
	if j.JWKSURL != "" {
		if u, err := url.Parse(j.JWKSURL); err != nil || u.Scheme != "https" && !strings.HasPrefix(j.JWKSURL, "http://127.0.0.1:") || u.Host == "" || u.User != nil {
			p.add("JWT.JWKSURL %q is no https address", j.JWKSURL)
		}
		if j.Issuer == "" {
			p.add("JWT.JWKSURL without JWT.Issuer; name the iss that the sender writes")
		}
	}
	if j.Leeway < 0 || j.Leeway > time.Hour {
		p.add("JWT.Leeway %s is not between 0 and an hour", j.Leeway)
	}
}

func (p *problems) clientNames(names []string) {
	if len(names) == 0 {
		p.add("is AuthMTLS without ClientNames: an authority signs for others too; list the names that the sender's certificate carries")
	}
	for _, name := range names {
		if strings.TrimSpace(name) == "" || name == "*" || name == "*." || strings.Contains(strings.TrimPrefix(name, "*."), "*") {
			p.add("ClientNames: %q is no name; write \"hooks.example.com\", \"*.example.com\", a URI or a mail address", name)
		}
	}
}

// messageAlgorithms are those of RFC 9421 that can be verified here.
var messageAlgorithms = []string{"hmac-sha256", "ed25519", "ecdsa-p256-sha256", "rsa-v1_5-sha256", "rsa-pss-sha512"}

func (p *problems) messageSignature(m MessageSignatureSpec) {
	p.oneOf("MessageSignature.Algorithm", m.Algorithm, messageAlgorithms)
	p.oneOf("MessageSignature.KeyEncoding", m.KeyEncoding, []string{"", "utf8", "hex", "base64"})
	for _, c := range m.Components {
		derived := slices.Contains([]string{"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"}, c)
		if !derived && (!validHeaderName(c) || c != strings.ToLower(c)) {
			p.add("MessageSignature.Components: %q is neither a field name in lower case nor a known derived component", c)
		}
	}
	if m.Tolerance < 0 || m.Tolerance > 24*time.Hour {
		p.add("MessageSignature.Tolerance %s is not between 0 and a day", m.Tolerance)
	}
}

func (p *problems) challenge(s EndpointSpec, c ChallengeSpec, at string) {
	kinds := []string{"", "slack", "hub", "zoom", "crc", "discord", "aws_sns", "graph", "cloudevents"}
	p.oneOf(at+".Kind", string(c.Kind), kinds)
	if c.Kind != ChallengeCustom {
		if c.Method != "" || len(c.When) > 0 || c.Token != "" || c.VerifyToken != "" || c.Reply != "" || c.JSON || c.Status != 0 || c.Unsigned {
			p.add("%s has a Kind, which says all the rest; remove either", at)
		}
		if c.Kind == ChallengeSNS && s.Auth != AuthSNS {
			p.add("%s: aws_sns is for Auth %q only; without it everybody could have a subscription confirmed", at, AuthSNS)
		}
		if (c.Kind == ChallengeCRC || c.Kind == ChallengeZoom) && s.Auth != AuthHMAC && s.Auth != AuthX && s.Auth != AuthZoom {
			p.add("%s: the answer is an HMAC with the endpoint's secret; use it with AuthHMAC", at)
		}
		return
	}
	p.oneOf(at+".Method", c.Method, []string{"", "POST", "GET"})
	places := []string{"query", "body"}
	if c.Method == "GET" || c.Unsigned {
		places = places[:1]
	}
	for _, when := range c.When {
		place, _, _ := strings.Cut(when, "=")
		if _, err := ParseSource(place, places...); err != nil {
			p.add("%s.When %s", at, err)
		}
	}
	for name, place := range map[string]string{"Token": c.Token, "VerifyToken": c.VerifyToken} {
		if place == "" {
			continue
		}
		if _, err := ParseSource(place, places...); err != nil {
			p.add("%s.%s %s", at, name, err)
		}
	}
	if len(c.When) == 0 && c.Token == "" {
		p.add("%s would answer everything; say in When or Token how it is recognised", at)
	}
	if c.Token == "" && (strings.Contains(c.Reply, "{token}") || strings.Contains(c.Reply, "{hmac")) {
		p.add("%s answers with the sender's token without a Token; say where it is found", at)
	}
	if strings.Contains(c.Reply, "{hmac") && s.Auth != AuthHMAC {
		p.add("%s: the answer is an HMAC with the endpoint's secret; use it with AuthHMAC", at)
	}
	if c.SecretSetting != "" && c.VerifyToken == "" {
		p.add("%s has a SecretSetting without VerifyToken; say where the sender's token is found", at)
	}
	if c.Status != 0 && (c.Status < 200 || c.Status > 299) {
		p.add("%s.Status %d is no success", at, c.Status)
	}
}

func (p *problems) oneOf(field, value string, known []string) {
	if !slices.Contains(known, value) {
		p.add("%s %q is unknown; use %s", field, value, strings.Join(slices.DeleteFunc(slices.Clone(known), func(k string) bool { return k == "" }), ", "))
	}
}

// ParseNetwork reads a network ("192.0.2.0/24") or one address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network such as \"192.0.2.0/24\"", text)
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its length; write %q", text, prefix.Masked())
	}
	return prefix, nil
}
