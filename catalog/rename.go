package catalog

import (
	"fmt"
	"slices"
)

// RenameFault says why a stream may not be renamed from a key that it names, and
// which rule forbids it, or "" for both. streams are all of the connector.
func RenameFault(s StreamManifest, streams []StreamManifest) (rule, why string) {
	former := s.Former()
	for i, from := range former {
		if slices.Contains(former[:i], from) {
			return "SC103", fmt.Sprintf("stream %q is renamed from %q twice; name each former key once", s.Key, from)
		}
		if rule, why := renameFault(s, from, streams); rule != "" {
			return rule, why
		}
	}
	return "", ""
}

func renameFault(s StreamManifest, from string, streams []StreamManifest) (rule, why string) {
	switch {
	case from == s.Key:
		return "SC103", fmt.Sprintf("stream %q is renamed from its own key; remove it from RenamedFrom or FormerKeys", s.Key)
	case !ValidKey(from):
		return "SC102", fmt.Sprintf("stream %q is renamed from %q, which does not match %s; no stream can have had that key", s.Key, from, KeyPattern)
	}
	for _, other := range streams {
		switch {
		case other.Key == from:
			return "SC103", fmt.Sprintf("stream %q is renamed from %q, which is still the key of another stream; give one of them another key", s.Key, from)
		case other.Key != s.Key && slices.Contains(other.Former(), from):
			return "SC103", fmt.Sprintf("streams %q and %q are both renamed from %q; only one can have its checkpoint", s.Key, other.Key, from)
		}
	}
	return "", ""
}

func (v *validation) renames(streams []StreamManifest) {
	for _, s := range streams {
		if rule, why := RenameFault(s, streams); rule != "" {
			v.add(rule, s.Key, "%s", why)
		}
	}
}
