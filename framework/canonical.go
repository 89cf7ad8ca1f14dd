package framework

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// settingsCanonical is implemented by settings that have more than one name for
// a setting. Canonical gets the settings as they were given, in a map of its own,
// and returns them under their canonical names, which may have dots.
type settingsCanonical interface {
	Canonical(given map[string]any) (map[string]any, error)
}

// Canonical returns the settings of a connection in their canonical form: a name
// with dots stands for nested settings, and synonyms for what they mean. Settings
// that are given twice with different values are an error, as [SettingErrors].
// Every door through which settings come in calls it once, before it keeps them.
func (p Plugin) Canonical(settings map[string]any) (map[string]any, error) {
	if p.settings == nil {
		return settings, nil
	}
	canonical, ok := reflect.TypeAssert[settingsCanonical](reflect.New(p.settings))
	if !ok {
		return settings, nil
	}
	plain, err := canonical.Canonical(maps.Clone(settings))
	if err != nil {
		return nil, err
	}
	out, errs := nested(plain)
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// nested puts settings whose names have dots where they belong.
func nested(settings map[string]any) (map[string]any, SettingErrors) {
	out := map[string]any{}
	var errs SettingErrors
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !strings.Contains(name, ".") {
			out[name] = settings[name]
			continue
		}
		steps := strings.Split(name, ".")
		at := out
		for _, step := range steps[:len(steps)-1] {
			below, ok := at[step].(map[string]any)
			if at[step] != nil && !ok {
				errs = append(errs, &SettingError{Name: name, Reason: "and " + step + " are both given, and do not fit together; keep one"})
				break
			}
			below = maps.Clone(below)
			if below == nil {
				below = map[string]any{}
			}
			at[step] = below
			at = below
		}
		last := steps[len(steps)-1]
		if old, twice := at[last]; twice && !reflect.DeepEqual(old, settings[name]) {
			errs = append(errs, &SettingError{Name: name, Reason: "is given twice, with two values; keep one"})
		}
		at[last] = settings[name]
	}
	return out, errs
}
