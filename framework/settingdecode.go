package framework

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// settingsValidator is implemented by settings with rules of their own, at any
// depth. Names in the [SettingErrors] it returns are relative to the value.
type settingsValidator interface{ Validate() error }

// decodeSettings fills into, a pointer to a settings struct, from settings. It
// returns every error at once. reserved settings belong to the framework and
// are ignored where the struct does not ask for them.
func decodeSettings(settings map[string]any, into any, reserved []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the connector's own check of its settings: %w", newPanicError(r))
		}
	}()
	v := reflect.ValueOf(into).Elem()
	if v.Kind() != reflect.Struct {
		return fmt.Errorf("settings type %s is not a struct", v.Type())
	}
	d := &settingsDecoder{}
	d.fields("", settings, v, reserved)
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, func(a, b *SettingError) int { return strings.Compare(a.Name, b.Name) })
		return d.errs
	}
	return d.own
}

type settingsDecoder struct {
	errs SettingErrors
	// own is what the outermost Validate returned, if it is no SettingErrors.
	own error
}

func (d *settingsDecoder) fail(path, format string, args ...any) {
	d.errs = append(d.errs, &SettingError{Name: path, Reason: fmt.Sprintf(format, args...)})
}

// fields decodes a mapping into a struct and lets the struct check itself.
func (d *settingsDecoder) fields(path string, given map[string]any, v reflect.Value, reserved []string) {
	before := len(d.errs)
	fields := settingFields(v.Type())
	known := make([]string, 0, len(fields)+len(reserved))
	for _, f := range fields {
		known = append(known, f.name)
		d.field(joinPath(path, f.name), f, given[f.name], v.FieldByIndex(f.index))
	}
	known = append(known, reserved...)
	for name := range given {
		if !slices.Contains(known, name) {
			d.fail(joinPath(path, name), "is unknown%s", Suggest(name, known))
		}
	}
	validator, ok := reflect.TypeAssert[settingsValidator](v.Addr())
	switch {
	case !ok:
	case len(d.errs) == before:
		d.adopt(path, validator.Validate())
	default:
		d.also(path, given, validator, d.errs[before:])
	}
}

// also adds what a Validate says of settings of which some could not be read: what
// it says of those that were given, and could be. The rest follows from the others.
func (d *settingsDecoder) also(path string, given map[string]any, validator settingsValidator, failed SettingErrors) {
	more := &settingsDecoder{}
	func() {
		// A check may rely on what could not be read.
		defer func() { _ = recover() }()
		more.adopt(path, validator.Validate())
	}()
	for _, e := range more.errs {
		name := strings.TrimPrefix(strings.TrimPrefix(e.Name, path), ".")
		root := name[:strings.IndexAny(name+".", ".[")]
		if given[root] != nil && !slices.ContainsFunc(failed, func(f *SettingError) bool { return within(e.Name, f.Name) || within(f.Name, e.Name) }) {
			d.errs = append(d.errs, e)
		}
	}
}

// within reports that a path is another one, or below it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// adopt takes over what a Validate returned, with paths from the outermost level.
func (d *settingsDecoder) adopt(path string, err error) {
	var list SettingErrors
	var one *SettingError
	switch {
	case err == nil:
	case errors.As(err, &list):
		for _, e := range list {
			d.errs = append(d.errs, &SettingError{Name: joinPath(path, e.Name), Reason: e.Reason, Rule: e.Rule})
		}
	case errors.As(err, &one):
		d.errs = append(d.errs, &SettingError{Name: joinPath(path, one.Name), Reason: one.Reason, Rule: one.Rule})
	case path == "":
		d.own = err
	default:
		d.fail(path, "%s", err)
	}
}

func (d *settingsDecoder) field(path string, f settingField, value any, v reflect.Value) {
	before := len(d.errs)
	switch {
	case value != nil:
		d.value(path, value, v)
		if len(d.errs) > before {
			return
		}
		if f.required && v.IsZero() {
			d.fail(path, "is empty")
			return
		}
		d.bounds(path, f, v)
	case f.fallback != "":
		if reason := decodeDefault(f.fallback, v); reason != "" {
			d.fail(path, "has an unusable default: %s", reason)
		}
	case f.required:
		d.fail(path, "is required")
	case shapeOf(f.kind) == shapeStruct:
		d.defaults(path, v)
	}
}

// defaults fills a struct that was not given.
func (d *settingsDecoder) defaults(path string, v reflect.Value) {
	for _, f := range settingFields(v.Type()) {
		f.required = false
		d.field(joinPath(path, f.name), f, nil, v.FieldByIndex(f.index))
	}
}

func (d *settingsDecoder) value(path string, value any, v reflect.Value) {
	value = plainSetting(value)
	switch shapeOf(v.Type()) {
	case shapeStruct:
		if given, ok := value.(map[string]any); ok || value == nil {
			d.fields(path, given, v, nil)
			return
		}
	case shapeList:
		if list, ok := value.([]any); ok {
			v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
			for i, one := range list {
				d.value(path+"["+strconv.Itoa(i)+"]", one, v.Index(i))
			}
			return
		}
	case shapeMap:
		if given, ok := value.(map[string]any); ok && v.Type().Key().Kind() == reflect.String {
			v.Set(reflect.MakeMapWithSize(v.Type(), len(given)))
			for name, one := range given {
				entry := reflect.New(v.Type().Elem()).Elem()
				d.value(joinPath(path, name), one, entry)
				v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), entry)
			}
			return
		}
	case shapePointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, value, v.Elem())
		return
	default:
	}
	if reason := decodeSetting(value, v.Addr().Interface()); reason != "" {
		d.fail(path, "%s", reason)
	}
}

// bounds checks what the tags of a field ask of its value.
func (d *settingsDecoder) bounds(path string, f settingField, v reflect.Value) {
	if f.enum != nil && v.Kind() == reflect.String && !slices.Contains(f.enum, v.String()) {
		d.fail(path, "must be %s%s", alternatives(f.enum), Suggest(v.String(), f.enum))
	}
	if f.min == "" && f.max == "" {
		return
	}
	got, ok := new(big.Rat).SetString(fmt.Sprint(v.Interface()))
	if !ok {
		return
	}
	if least, ok := new(big.Rat).SetString(f.min.String()); ok && got.Cmp(least) < 0 {
		d.fail(path, "must be at least %s", f.min)
	}
	if most, ok := new(big.Rat).SetString(f.max.String()); ok && got.Cmp(most) > 0 {
		d.fail(path, "must be at most %s", f.max)
	}
}

// alternatives lists words as a sentence does.
func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// plainSetting returns a value as a decoder of YAML or JSON would have: tests
// and programs may hand in lists and structs of their own types.
func plainSetting(value any) any {
	switch value.(type) {
	case nil, string, bool, int, int64, float64, json.Number, map[string]any, []any:
		return value
	}
	b, err := json.Marshal(value)
	if err != nil {
		return value
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	var plain any
	if decoder.Decode(&plain) != nil {
		return value
	}
	return plain
}

func decodeSetting(value, into any) (reason string) {
	b, err := json.Marshal(value)
	if err != nil {
		return "cannot be read"
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &wrong):
		return fmt.Sprintf("must be %s, not %s", kindWords(wrong.Type), wrong.Value)
	default:
		return err.Error()
	}
}

// kindWords names a type as an operator would.
func kindWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	default:
		return "a whole number"
	}
}

func decodeDefault(text string, field reflect.Value) (reason string) {
	if field.Kind() == reflect.String {
		quoted, _ := json.Marshal(text)
		text = string(quoted)
	}
	if err := json.Unmarshal([]byte(text), field.Addr().Interface()); err != nil {
		return err.Error()
	}
	return ""
}
