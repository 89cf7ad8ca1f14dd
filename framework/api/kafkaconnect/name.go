package kafkaconnect

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode/utf8"
)

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

const (
	maxSlug    = 54
	maxNameLen = 255
)

// connectionName maps the name of a connector, which may be nearly any text, to
// the name of its connection. A text that is no such name gets a slug with a few
// digits of its hash, so that two names never meet and none has to be looked for.
func connectionName(given string) string {
	if validName.MatchString(given) {
		return given
	}
	var slug strings.Builder
	for _, r := range strings.ToLower(given) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_' && slug.Len() > 0:
			slug.WriteRune(r)
		case slug.Len() > 0 && !strings.HasSuffix(slug.String(), "-"):
			slug.WriteByte('-')
		}
		if slug.Len() >= maxSlug {
			break
		}
	}
	sum := sha256.Sum256([]byte(given))
	base := strings.TrimRight(slug.String(), "-")
	if base == "" {
		base = "connector"
	}
	return base + "-" + hex.EncodeToString(sum[:4])
}

// checkName says what is wrong with the name of a connector, or "".
func checkName(given string) string {
	switch {
	case strings.TrimSpace(given) == "":
		return "Connector name cannot be empty"
	case len(given) > maxNameLen:
		return "Connector name cannot be longer than 255 bytes"
	case !utf8.ValidString(given):
		return "Connector name must be UTF-8"
	}
	for _, r := range given {
		if r < ' ' || r == 0x7f {
			return "Connector name may not contain control sequences such as new lines"
		}
	}
	return ""
}
