package httpauth

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what some receivers still verify; the operator's choice
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signature signs requests by HMAC.
type signature struct {
	config Config
	parts  []string // text, name, text, name, …, text
	hash   func() hash.Hash
	encode func([]byte) string
}

// signedParts are what the signed text may hold in braces.
var signedParts = []string{"method", "host", "path", "query", "url", "timestamp", "body", "body_sha256"}

func newSignature(c Config) (*signature, error) {
	parts, err := parseSigned(c.signed())
	if err != nil {
		return nil, err
	}
	s := &signature{config: c, parts: parts, hash: sha256.New, encode: encoder(c.Encoding)}
	switch c.Algorithm {
	case "sha512":
		s.hash = sha512.New
	case "sha1":
		s.hash = sha1.New
	}
	if s.config.Header == "" {
		s.config.Header = "X-Signature"
	}
	return s, nil
}

// parseSigned takes the signed text apart.
func parseSigned(text string) ([]string, error) {
	var parts []string
	for {
		before, after, found := strings.Cut(text, "{")
		parts = append(parts, before)
		if !found {
			return parts, nil
		}
		name, rest, closed := strings.Cut(after, "}")
		known := false
		for _, part := range signedParts {
			known = known || part == name
		}
		if !closed || !known {
			return nil, fmt.Errorf("holds something else in braces than {%s}", strings.Join(signedParts, "}, {"))
		}
		parts = append(parts, name)
		text = rest
	}
}

func (s *signature) sign(r *http.Request, body []byte, now time.Time) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(s.hash, []byte(s.config.Secret.Reveal()))
	for i, part := range s.parts {
		if i%2 == 0 {
			mac.Write([]byte(part))
			continue
		}
		switch part {
		case "method":
			mac.Write([]byte(r.Method))
		case "host":
			mac.Write([]byte(r.URL.Host))
		case "path":
			mac.Write([]byte(r.URL.EscapedPath()))
		case "query":
			mac.Write([]byte(r.URL.RawQuery))
		case "url":
			mac.Write([]byte(r.URL.String()))
		case "timestamp":
			mac.Write([]byte(timestamp))
		case "body":
			mac.Write(body)
		case "body_sha256":
			sum := sha256.Sum256(body)
			mac.Write([]byte(hex.EncodeToString(sum[:])))
		}
	}
	r.Header.Set(s.config.Header, s.config.Prefix+s.encode(mac.Sum(nil)))
	if s.config.TimestampHeader != "" {
		r.Header.Set(s.config.TimestampHeader, timestamp)
	}
}
