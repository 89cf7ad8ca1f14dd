package httpguard

import "strings"

// ValidHeaderName reports whether s is a field name (RFC 9110, section 5.1).
func ValidHeaderName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// ValidHeaderValue reports whether s can be sent as a header's value: no line
// breaks and no other control characters but the tab (RFC 9110, section 5.5).
func ValidHeaderValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
