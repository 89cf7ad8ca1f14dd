package httpauth

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpguard"
)

// Types of authentication.
const (
	None     = "none"
	Bearer   = "bearer"
	Basic    = "basic"
	APIKey   = "api_key"
	OAuth2   = "oauth2"
	AWSSigV4 = "aws_sigv4"
	HMAC     = "hmac"
)

// Config are the settings of authentication. Which of them count depends on
// Type; one that does not belong to it is an error.
type Config struct {
	Type string `json:"type" default:"none" enum:"none,bearer,basic,api_key,oauth2,aws_sigv4,hmac" doc:"How requests are authenticated. A client certificate (mTLS) is set under tls."`

	Token framework.Secret `json:"token" doc:"bearer: the token."`

	Username string           `json:"username" doc:"basic: the user."`
	Password framework.Secret `json:"password" doc:"basic: the password; may be empty where the user is the key."`

	Header string           `json:"header" doc:"api_key, hmac: the header that carries the key or signature. The default of hmac is X-Signature."`
	Query  string           `json:"query" doc:"api_key: the query parameter that carries the key instead of a header."`
	Prefix string           `json:"prefix" doc:"api_key, hmac: text before the key or signature, such as \"Token \" or \"sha256=\"."`
	Key    framework.Secret `json:"key" doc:"api_key: the key."`

	Grant        string            `json:"grant" enum:"client_credentials,refresh_token" doc:"oauth2: how tokens are got. The default is refresh_token where one is set, else client_credentials."`
	TokenURL     framework.URL     `json:"token_url" doc:"oauth2: where tokens are got."`
	ClientID     string            `json:"client_id" doc:"oauth2: the client's id."`
	ClientSecret framework.Secret  `json:"client_secret" doc:"oauth2: the client's secret."`
	RefreshToken framework.Secret  `json:"refresh_token" doc:"oauth2: the first refresh token. A rotated one is kept in the store."`
	Scopes       []string          `json:"scopes" doc:"oauth2: what is asked for."`
	Style        string            `json:"style" default:"auto" enum:"auto,header,body" doc:"oauth2: where client id and secret go."`
	Parameters   map[string]string `json:"parameters" doc:"oauth2: further parameters of the token request, such as audience."`

	Region          string           `json:"region" doc:"aws_sigv4: the region, such as eu-central-1."`
	Service         string           `json:"service" doc:"aws_sigv4: the service, such as execute-api."`
	AccessKeyID     string           `json:"access_key_id" doc:"aws_sigv4: the access key's id."`
	SecretAccessKey framework.Secret `json:"secret_access_key" doc:"aws_sigv4: the secret access key."`
	SessionToken    framework.Secret `json:"session_token" doc:"aws_sigv4: the token of temporary credentials."`

	Secret          framework.Secret `json:"secret" doc:"hmac: the key of the signature, at least 16 bytes."`
	Algorithm       string           `json:"algorithm" enum:"sha256,sha512,sha1" doc:"hmac: the hash; sha256 unless set."`
	Encoding        string           `json:"encoding" enum:"hex,base64,base64url" doc:"hmac: how the signature is written; hex unless set."`
	Signed          string           `json:"signed" doc:"hmac: the signed text, of {method} {host} {path} {query} {url} {timestamp} {body} {body_sha256} and text. {timestamp}.{body} unless set."`
	TimestampHeader string           `json:"timestamp_header" doc:"hmac: the header that carries {timestamp}, in Unix seconds."`
}

// minSigningSecret is the shortest secret, in bytes, that may sign.
const minSigningSecret = 16

// needs lists the settings that a type must have, and those that it may have.
var needs = map[string]struct{ must, may []string }{
	None:     {},
	Bearer:   {must: []string{"token"}},
	Basic:    {must: []string{"username"}, may: []string{"password"}},
	APIKey:   {must: []string{"key"}, may: []string{"header", "query", "prefix"}},
	OAuth2:   {must: []string{"token_url", "client_id"}, may: []string{"grant", "client_secret", "refresh_token", "scopes", "style", "parameters"}},
	AWSSigV4: {must: []string{"region", "service", "access_key_id", "secret_access_key"}, may: []string{"session_token"}},
	HMAC:     {must: []string{"secret"}, may: []string{"header", "prefix", "algorithm", "encoding", "signed", "timestamp_header"}},
}

// given lists the settings that are set.
func (c Config) given() map[string]bool {
	texts := map[string]string{
		"token": string(c.Token), "username": c.Username, "password": string(c.Password), "header": c.Header, "query": c.Query,
		"prefix": c.Prefix, "key": string(c.Key), "grant": c.Grant, "token_url": string(c.TokenURL), "client_id": c.ClientID,
		"client_secret": string(c.ClientSecret), "refresh_token": string(c.RefreshToken), "scopes": strings.Join(c.Scopes, " "),
		"region": c.Region, "service": c.Service, "access_key_id": c.AccessKeyID, "secret_access_key": string(c.SecretAccessKey),
		"session_token": string(c.SessionToken), "secret": string(c.Secret), "algorithm": c.Algorithm, "encoding": c.Encoding,
		"signed": c.Signed, "timestamp_header": c.TimestampHeader,
	}
	given := map[string]bool{"parameters": len(c.Parameters) > 0}
	for name, text := range texts {
		given[name] = text != ""
	}
	return given
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	var errs framework.SettingErrors
	fail := func(name, reason string) {
		errs = append(errs, &framework.SettingError{Name: name, Reason: reason})
	}
	need := needs[c.Type]
	given := c.given()
	for _, name := range need.must {
		if !given[name] {
			fail(name, "is required with type "+c.Type)
		}
	}
	for name, is := range given {
		if is && !slices.Contains(need.must, name) && !slices.Contains(need.may, name) {
			fail(name, "does not belong to type "+c.Type)
		}
	}
	switch c.Type {
	case APIKey:
		if given["header"] == given["query"] {
			fail("header", "or query is required with type api_key, and not both")
		}
	case OAuth2:
		if c.grant() == "refresh_token" && !given["refresh_token"] {
			fail("refresh_token", "is required with grant refresh_token")
		}
		if c.grant() == "client_credentials" && !given["client_secret"] {
			fail("client_secret", "is required with grant client_credentials")
		}
	case HMAC:
		if given["secret"] && len(c.Secret) < minSigningSecret {
			fail("secret", "is shorter than 16 bytes, which is too short to sign with")
		}
		if _, err := parseSigned(c.signed()); err != nil {
			fail("signed", err.Error())
		}
		if strings.Contains(c.signed(), "{timestamp}") != given["timestamp_header"] {
			fail("timestamp_header", "and {timestamp} in signed belong together; set both or neither")
		}
	}
	for name, header := range map[string]string{"header": c.Header, "timestamp_header": c.TimestampHeader} {
		if header != "" && !httpguard.ValidHeaderName(header) {
			fail(name, "is no header name")
		}
	}
	for name, value := range map[string]string{"prefix": c.Prefix, "token": string(c.Token), "key": string(c.Key)} {
		if !httpguard.ValidHeaderValue(value) {
			fail(name, "holds a line break or another character that no header can carry")
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

func (c Config) grant() string {
	switch {
	case c.Grant != "":
		return c.Grant
	case c.RefreshToken != "":
		return "refresh_token"
	}
	return "client_credentials"
}

func (c Config) signed() string {
	switch {
	case c.Signed != "":
		return c.Signed
	case c.TimestampHeader == "":
		return "{body}"
	}
	return "{timestamp}.{body}"
}

// Hosts returns the hosts that are called for authentication, with http:// before
// those without TLS.
func (c Config) Hosts() []string {
	parsed, err := url.Parse(string(c.TokenURL))
	if err != nil || c.TokenURL == "" {
		return nil
	}
	if parsed.Scheme == "http" {
		return []string{"http://" + parsed.Hostname()}
	}
	return []string{parsed.Hostname()}
}

func encoder(name string) func([]byte) string {
	switch name {
	case "base64":
		return base64.StdEncoding.EncodeToString
	case "base64url":
		return base64.URLEncoding.EncodeToString
	default:
		return hex.EncodeToString
	}
}
