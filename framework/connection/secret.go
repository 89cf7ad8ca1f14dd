package connection

import (
	"crypto/hmac"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/seal"
)

// Hidden stands for a secret that is not shown. Written back, it keeps the secret.
const Hidden = config.Hidden

// plainHeaders are the headers whose values are no secrets.
var plainHeaders = []string{"content-type", "accept", "user-agent"}

// onlyReference matches a text that shows no secret, because all of it but a
// scheme of authentication stands elsewhere.
var onlyReference = regexp.MustCompile(`^((Bearer|Basic|Token|Bot) )?\$\{[^{}]+\}$`)

// secretPattern is where a connector's settings hold secrets.
type secretPattern struct {
	steps []string
	// address says that it is a URL, of which a part may be secret.
	address bool
}

// place is where a secret stands: in the settings, or among what is kept for others.
type place struct {
	path    string
	address bool
	extra   bool
}

// key names the place among all of a connection. Secrets are sealed for it.
func (p place) key() string {
	if p.extra {
		return extraMember + "." + p.path
	}
	return p.path
}

// member is the path of the place in the document of a connection.
func (p place) member() string {
	if p.extra {
		return p.key()
	}
	return "config." + p.path
}

// in returns the text that stands there in a spec.
func (p place) in(s *Spec) (text string, ok bool) {
	if p.extra {
		text, ok = s.Extra[p.path]
		return text, ok
	}
	text, ok = framework.SettingAt(s.Config, p.path).(string)
	return text, ok
}

// shown is what stands for a secret that is not shown.
func (p place) shown(plain string) string {
	if p.address {
		return httpguard.ShownAddress(plain)
	}
	return Hidden
}

// hides reports whether a text is what stands for a secret.
func (p place) hides(text string) bool {
	return text == Hidden || p.address && strings.Contains(text, Hidden) && httpguard.ShownAddress(text) == text
}

// eachSecret calls f with every secret text of a spec and its place, and puts what
// f returns there. The spec must be one that can be changed, see changeable. An
// address in which nothing is secret is left out.
func (d *Desk) eachSecret(s *Spec, f func(at place, text string) string) {
	for _, pattern := range d.patterns(s.Connector, s.Type) {
		walkSecret(s.Config, "", pattern.steps, func(path, text string) string {
			at := place{path: path, address: pattern.address}
			if at.address && !seal.IsSealed(text) && !at.hides(text) && at.shown(text) == text {
				return text
			}
			return f(at, text)
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Extra)) {
		if text := s.Extra[name]; SecretExtra(name, text) {
			s.Extra[name] = f(place{path: name, extra: true}, text)
		}
	}
}

// changeable returns s with settings and extra that are its own.
func changeable(s Spec) Spec {
	s.Config, s.Extra = copyOf(s.Config), maps.Clone(s.Extra)
	return s
}

func walkSecret(at any, path string, steps []string, f func(path, text string) string) any {
	if len(steps) == 0 {
		return secretLeaf(at, path, f)
	}
	step, rest := steps[0], steps[1:]
	switch v := at.(type) {
	case map[string]any:
		if len(rest) == 0 && step == "value" {
			if name, _ := v["name"].(string); slices.Contains(plainHeaders, strings.ToLower(name)) {
				return at
			}
		}
		if step == "*" {
			for name := range v {
				v[name] = walkSecret(v[name], joinPath(path, name), rest, f)
			}
			return at
		}
		if below, ok := v[step]; ok {
			v[step] = walkSecret(below, joinPath(path, step), rest, f)
		}
	case []any:
		if step == "[]" {
			for i := range v {
				v[i] = walkSecret(v[i], path+"["+strconv.Itoa(i)+"]", rest, f)
			}
		}
	}
	return at
}

// secretLeaf is one secret, or several while they are rotated.
func secretLeaf(at any, path string, f func(path, text string) string) any {
	switch v := at.(type) {
	case string:
		if v == "" {
			return at
		}
		return f(path, v)
	case []any:
		for i := range v {
			v[i] = secretLeaf(v[i], path+"["+strconv.Itoa(i)+"]", f)
		}
	case map[string]any:
		if inner, ok := v["secret"]; ok {
			v["secret"] = secretLeaf(inner, joinPath(path, "secret"), f)
		}
	}
	return at
}

// patterns say where the settings of a connector hold secrets.
func (d *Desk) patterns(connector, kind string) []secretPattern {
	of := [2]string{connector, kind}
	if known, ok := d.secrets.Load(of); ok {
		list, _ := known.([]secretPattern)
		return list
	}
	p, ok := pluginOf(d.cfg.Plugins, connector, kind)
	if !ok {
		return nil
	}
	var list []secretPattern
	add := func(paths []string, address bool) {
		for _, path := range paths {
			list = append(list, secretPattern{strings.Split(strings.ReplaceAll(path, "[]", ".[]"), "."), address})
		}
	}
	add(p.SecretSettings(), false)
	add(p.AddressSettings(), true)
	d.secrets.Store(of, list)
	return list
}

// copied returns a copy of settings that can be changed.
func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, one := range v {
			m[name] = copied(one)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = copied(one)
		}
		return list
	}
	return v
}

func copyOf(settings map[string]any) map[string]any {
	m, _ := copied(settings).(map[string]any)
	return m
}

// mask returns s with its secrets hidden. fingerprints tells two of them apart by
// their places.
func (d *Desk) mask(id string, s Spec) (masked Spec, fingerprints map[string]string) {
	s, fingerprints = changeable(s), map[string]string{}
	d.eachSecret(&s, func(at place, text string) string {
		if onlyReference.MatchString(text) {
			return text
		}
		plain := text
		if seal.IsSealed(text) {
			opened, err := d.cfg.Keys.Open(id, at.key(), text)
			if err != nil {
				return Hidden
			}
			plain = opened
		}
		fingerprints[at.key()] = ""
		if !at.hides(plain) {
			fingerprints[at.key()] = d.cfg.Keys.Fingerprint(plain)
		}
		return at.shown(plain)
	})
	return s, fingerprints
}

// unseal returns s with the secrets in it.
func (d *Desk) unseal(id string, s Spec) (Spec, error) {
	s = changeable(s)
	var errs []error
	d.eachSecret(&s, func(at place, text string) string {
		if !seal.IsSealed(text) {
			if at.hides(text) {
				errs = append(errs, &framework.SettingError{Name: at.key(), Reason: "is not kept: it stands in the operator's file alone; give it again"})
			}
			return text
		}
		plain, err := d.cfg.Keys.Open(id, at.key(), text)
		if err != nil {
			errs = append(errs, &framework.SettingError{Name: at.key(), Reason: "cannot be opened: " + err.Error()})
		}
		return plain
	})
	return s, errors.Join(errs...)
}

// restore puts the secrets of before where *** was written back. What there was
// no secret for is a fault. s is changed.
func (d *Desk) restore(id string, s *Spec, before *Spec) Faults {
	var faults Faults
	old := map[string]string{}
	if before != nil {
		kept := changeable(*before)
		d.eachSecret(&kept, func(at place, text string) string {
			if seal.IsSealed(text) {
				if plain, err := d.cfg.Keys.Open(id, at.key(), text); err == nil {
					text = plain
				}
			}
			if !at.extra || !at.hides(text) {
				old[at.member()] = text
			}
			return text
		})
	}
	moved := movedEntries(before, s)
	d.eachSecret(s, func(at place, text string) string {
		fault := func(message string) { faults = append(faults, Fault{Path: at.member(), Message: message}) }
		switch {
		case seal.IsSealed(text):
			fault("is what a sealed secret looks like; give the secret itself, or \"***\" to keep the old one")
		case at.hides(text):
			now := at
			if !at.extra {
				now.path = moved(at.path)
			}
			was, ok := old[now.member()]
			switch {
			case !ok && text == Hidden:
				fault("is \"***\", which keeps the old secret, and there is none; give the secret")
			case !ok || text != Hidden && text != at.shown(was):
				fault("holds \"***\" and is not the URL that was shown; give all of the new URL, or the shown one as it is to keep the old one")
			default:
				return was
			}
		}
		return text
	})
	return faults
}

// movedEntries says which path an entry of a list had before: entries with a name
// are found by it, so that one may be added before others.
func movedEntries(before, after *Spec) func(path string) string {
	if before == nil {
		return func(path string) string { return path }
	}
	return func(path string) string {
		open := strings.IndexByte(path, '[')
		end := strings.IndexByte(path, ']')
		if open < 0 || end < open {
			return path
		}
		i, err := strconv.Atoi(path[open+1 : end])
		list, _ := framework.SettingAt(after.Config, path[:open]).([]any)
		if err != nil || i >= len(list) {
			return path
		}
		name, nth := nameOf(list[i]), 0
		if name == "" {
			return path
		}
		for _, one := range list[:i] {
			if nameOf(one) == name {
				nth++
			}
		}
		earlier, _ := framework.SettingAt(before.Config, path[:open]).([]any)
		for j, one := range earlier {
			if nameOf(one) != name {
				continue
			}
			if nth == 0 {
				return path[:open+1] + strconv.Itoa(j) + path[end:]
			}
			nth--
		}
		return "" // a new entry has no secret of before
	}
}

func nameOf(entry any) string {
	m, _ := entry.(map[string]any)
	name, _ := m["name"].(string)
	return strings.ToLower(name)
}

// sealed returns s with its secrets sealed for the connection. Secrets that are
// the same as in before keep their sealed form.
func (d *Desk) sealed(id string, s Spec, before *Spec) (Spec, Faults) {
	var faults Faults
	s = changeable(s)
	s.keptFor = id
	d.eachSecret(&s, func(at place, text string) string {
		if onlyReference.MatchString(text) || at.address && d.cfg.Keys == nil {
			return text // only its looks say that a part of an address is secret
		}
		if before != nil {
			if was, ok := at.in(before); ok && seal.IsSealed(was) {
				if plain, err := d.cfg.Keys.Open(id, at.key(), was); err == nil && hmac.Equal([]byte(plain), []byte(text)) {
					return was
				}
			}
		}
		out, err := d.cfg.Keys.Seal(id, at.key(), text)
		if err != nil {
			faults = append(faults, Fault{Path: at.member(), Message: "cannot be kept: " + err.Error() + "; or write it as a reference such as ${NAME}"})
		}
		return out
	})
	return s, faults
}

// hidden returns s with what is shown in place of the secrets that are no
// references: for what stands in the operator's file, which has them.
func (d *Desk) hidden(s Spec) Spec {
	s = changeable(s)
	d.eachSecret(&s, func(at place, text string) string {
		if onlyReference.MatchString(text) {
			return text
		}
		if at.address && seal.IsSealed(text) {
			plain, err := d.cfg.Keys.Open(s.keptFor, at.key(), text)
			if err != nil {
				return Hidden
			}
			text = plain
		}
		return at.shown(text)
	})
	return s
}
