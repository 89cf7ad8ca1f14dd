package connection

import (
	"crypto/hmac"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/seal"
)

// Hidden stands for a secret that is not shown. Written back, it keeps the secret.
const Hidden = "***"

// plainHeaders are the headers whose values are no secrets.
var plainHeaders = []string{"content-type", "accept", "user-agent"}

// onlyReference matches a text that shows no secret, because all of it but a
// scheme of authentication stands elsewhere.
var onlyReference = regexp.MustCompile(`^((Bearer|Basic|Token|Bot) )?\$\{[^{}]+\}$`)

// eachSecret calls f with every secret text in settings and its path, and puts
// what f returns in its place. settings is changed.
func eachSecret(settings map[string]any, patterns []string, f func(path, text string) string) {
	for _, pattern := range patterns {
		steps := strings.Split(strings.ReplaceAll(pattern, "[]", ".[]"), ".")
		walkSecret(settings, "", steps, f)
	}
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

// secretPatterns are the paths of the secrets of a connector.
func secretPatterns(plugins []framework.Plugin, connector, kind string) []string {
	p, ok := pluginOf(plugins, connector, kind)
	if !ok {
		return nil
	}
	return p.SecretSettings()
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

// mask hides the secrets in a copy of settings. fingerprints tells two of them
// apart by their paths.
func (d *Desk) mask(id string, s Spec) (config map[string]any, fingerprints map[string]string) {
	config, fingerprints = copyOf(s.Config), map[string]string{}
	eachSecret(config, secretPatterns(d.cfg.Plugins, s.Connector, s.Type), func(path, text string) string {
		if onlyReference.MatchString(text) {
			return text
		}
		plain := text
		if seal.IsSealed(text) {
			opened, err := d.cfg.Keys.Open(id, path, text)
			if err != nil {
				return Hidden
			}
			plain = opened
		}
		fingerprints[path] = ""
		if plain != Hidden {
			fingerprints[path] = d.cfg.Keys.Fingerprint(plain)
		}
		return Hidden
	})
	return config, fingerprints
}

// unseal returns a copy of settings with the secrets in it.
func (d *Desk) unseal(id string, s Spec) (map[string]any, error) {
	config := copyOf(s.Config)
	var errs []error
	eachSecret(config, secretPatterns(d.cfg.Plugins, s.Connector, s.Type), func(path, text string) string {
		if !seal.IsSealed(text) {
			if text == Hidden {
				errs = append(errs, &framework.SettingError{Name: path, Reason: "is not kept: it stands in the operator's file alone; give it again"})
			}
			return text
		}
		plain, err := d.cfg.Keys.Open(id, path, text)
		if err != nil {
			errs = append(errs, &framework.SettingError{Name: path, Reason: "cannot be opened: " + err.Error()})
		}
		return plain
	})
	return config, errors.Join(errs...)
}

// restore puts the secrets of before where *** was written back. What there was
// no secret for is a fault.
func (d *Desk) restore(id string, s *Spec, before *Spec) Faults {
	var faults Faults
	old := map[string]string{}
	if before != nil {
		config := copyOf(before.Config)
		eachSecret(config, secretPatterns(d.cfg.Plugins, before.Connector, before.Type), func(path, text string) string {
			if seal.IsSealed(text) {
				if plain, err := d.cfg.Keys.Open(id, path, text); err == nil {
					text = plain
				}
			}
			old[path] = text
			return text
		})
	}
	moved := movedEntries(before, s)
	eachSecret(s.Config, secretPatterns(d.cfg.Plugins, s.Connector, s.Type), func(path, text string) string {
		switch {
		case seal.IsSealed(text):
			faults = append(faults, Fault{Path: "config." + path, Message: "is what a sealed secret looks like; give the secret itself, or \"***\" to keep the old one"})
		case text == Hidden:
			was, ok := old[moved(path)]
			if !ok {
				faults = append(faults, Fault{Path: "config." + path, Message: "is \"***\", which keeps the old secret, and there is none; give the secret"})
				return text
			}
			return was
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
	s.Config = copyOf(s.Config)
	eachSecret(s.Config, secretPatterns(d.cfg.Plugins, s.Connector, s.Type), func(path, text string) string {
		if onlyReference.MatchString(text) {
			return text
		}
		if before != nil {
			if was, ok := framework.SettingAt(before.Config, path).(string); ok && seal.IsSealed(was) {
				if plain, err := d.cfg.Keys.Open(id, path, was); err == nil && hmac.Equal([]byte(plain), []byte(text)) {
					return was
				}
			}
		}
		out, err := d.cfg.Keys.Seal(id, path, text)
		if err != nil {
			faults = append(faults, Fault{Path: "config." + path, Message: "cannot be kept: " + err.Error() + "; or write it as a reference such as ${NAME}"})
		}
		return out
	})
	return s, faults
}

// hidden returns s with *** in place of the secrets that are no references: for
// what stands in the operator's file, which has them.
func hidden(s Spec, plugins []framework.Plugin) Spec {
	s.Config = copyOf(s.Config)
	eachSecret(s.Config, secretPatterns(plugins, s.Connector, s.Type), func(_, text string) string {
		if onlyReference.MatchString(text) {
			return text
		}
		return Hidden
	})
	return s
}
