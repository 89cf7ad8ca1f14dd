package connection

import (
	"regexp"
	"strings"

	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/seal"
)

// extraMember is the member of a document with what is kept for others. What stands
// there has no schema: names and texts say which of it is secret.
const extraMember = seal.ExtraMember

// secretWords are in the names of keys that hold a secret, in lower case and
// without what stands between their words.
var secretWords = []string{
	"password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "authorization", "jaas", "userinfo", "headers",
	"apikey", "accesskey", "accountkey", "privatekey", "sharedkey", "signingkey", "encryptionkey", "keystorekey",
}

// secretAssigned matches a text in which a secret is given a name, as in JAAS, DSNs
// and headers.
var secretAssigned = regexp.MustCompile(`(?i)(passw(or)?d|passphrase|pwd|secret|token|authorization|api[._-]?key|sharedaccesskey|accountkey)["']?\s*[=:]|-----BEGIN [A-Z ]*PRIVATE KEY`)

var betweenWords = strings.NewReplacer(".", "", "_", "", "-", "", " ", "", "/", "")

// SecretExtra reports that a key of [Spec.Extra] holds a secret: by its name, or by
// what its text looks like.
func SecretExtra(name, text string) bool {
	switch strings.ToLower(text) {
	case "", "true", "false":
		return false // whether there is one, and not which
	case Hidden:
		return true
	}
	plain := betweenWords.Replace(strings.ToLower(name))
	for _, word := range secretWords {
		if strings.Contains(plain, word) {
			return true
		}
	}
	return secretAssigned.MatchString(text) || seal.IsSealed(text) || httpguard.ShownAddress(text) != text
}
