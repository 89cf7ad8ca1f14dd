package connection

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework"
)

// FormWebhook is the flat form of a sink of class http.
const FormWebhook = "webhook"

// webhookFields are the settings of the flat form, with where they stand in the
// config of a sink and what they are when they are not given.
var webhookFields = []struct {
	name, path string
	fallback   any
}{
	{"httpMethod", "method", "GET"},
	{"fullUrl", "endpoint", nil},
	{"headerList", "headers", []any{}},
	{"timeout", "step_timeout_seconds", json.Number("2")},
	{"connectionPoolMaxConnectionPerHost", "pool.max_per_host", json.Number("24")},
	{"connectionPoolMaxConnectionTotal", "pool.max_total", json.Number("48")},
}

// commonFields stand in the flat form as in the other one.
var commonFields = []string{"project", "name", "displayName", "description", "enabled", "streams", "labels", "start"}

// IsWebhook reports that a document is in the flat form.
func IsWebhook(document map[string]any) bool {
	kind, _ := document["type"].(string)
	return kind == FormWebhook
}

// FromWebhook returns the document that a flat form stands for. paths are those
// of the flat form by those of the document, for what is said about it.
func FromWebhook(flat map[string]any) (document map[string]any, paths map[string]string, faults Faults) {
	settings := map[string]any{}
	document, paths = map[string]any{"type": TypeSink, "connector": "http", "config": settings}, map[string]string{}
	known := slices.Clone(commonFields)
	known = append(known, "type", "deployToWorker", "config")
	for _, f := range webhookFields {
		known = append(known, f.name)
		paths["config."+f.path] = f.name
		value, given := flat[f.name]
		if !given {
			value = f.fallback
		}
		if value != nil {
			put(settings, f.path, value)
		}
	}
	extra, ok := flat["config"].(map[string]any)
	switch {
	case flat["config"] != nil && !ok:
		faults = append(faults, Fault{Path: "config", Message: "must be an object: the settings that the flat form has no name for"})
	case ok:
		for name, value := range extra {
			if _, twice := settings[name]; twice && name != "pool" {
				faults = append(faults, Fault{Path: "config." + name, Message: "stands in the flat form under another name; keep one"})
				continue
			}
			settings[name] = value
		}
	}
	for _, name := range commonFields {
		if value, given := flat[name]; given {
			document[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		if !slices.Contains(known, name) {
			faults = append(faults, Fault{Path: name, Message: fmt.Sprintf("is unknown%s", framework.Suggest(name, known))})
		}
	}
	if _, given := flat["fullUrl"]; !given {
		faults = append(faults, Fault{Path: "fullUrl", Message: "is required: the whole URL that requests go to, http or https"})
	}
	return document, paths, faults
}

func put(settings map[string]any, path string, value any) {
	steps := framework.SplitPath(path)
	for _, step := range steps[:len(steps)-1] {
		below, _ := settings[step].(map[string]any)
		if below == nil {
			below = map[string]any{}
			settings[step] = below
		}
		settings = below
	}
	settings[steps[len(steps)-1]] = value
}

// Webhook returns a connection in the flat form. What the form has no name for
// stands below config.
func (v View) Webhook() map[string]any {
	settings := copyOf(v.Config)
	out := map[string]any{
		"type": FormWebhook, "name": v.Name, "description": v.Description, "enabled": v.Enabled, "deployToWorker": v.Deployed == v.Revision,
	}
	for _, f := range webhookFields {
		value := framework.SettingAt(settings, f.path)
		if value == nil {
			value = f.fallback
		}
		out[f.name] = value
		remove(settings, framework.SplitPath(f.path))
	}
	if len(settings) > 0 {
		out["config"] = settings
	}
	if v.DisplayName != "" {
		out["displayName"] = v.DisplayName
	}
	if len(v.Streams) > 0 {
		out["streams"] = v.Streams
	}
	if len(v.Labels) > 0 {
		out["labels"] = v.Labels
	}
	if v.Start != "" {
		out["start"] = v.Start
	}
	return out
}

func remove(settings map[string]any, steps []string) {
	if len(steps) == 1 {
		delete(settings, steps[0])
		return
	}
	if below, ok := settings[steps[0]].(map[string]any); ok {
		remove(below, steps[1:])
		if len(below) == 0 {
			delete(settings, steps[0])
		}
	}
}

// Renamed returns faults with the paths that the caller knows.
func (f Faults) Renamed(paths map[string]string) Faults {
	out := slices.Clone(f)
	for i := range out {
		for from, to := range paths {
			if rest, ok := cutPath(out[i].Path, from); ok {
				was := strings.TrimPrefix(out[i].Path, "config.")
				out[i].Path = to + rest
				out[i].Message = strings.ReplaceAll(out[i].Message, strconv.Quote(was), strconv.Quote(to+rest))
			}
		}
	}
	return out
}

func cutPath(path, prefix string) (rest string, ok bool) {
	if len(path) < len(prefix) || path[:len(prefix)] != prefix {
		return "", false
	}
	rest = path[len(prefix):]
	return rest, rest == "" || rest[0] == '.' || rest[0] == '['
}
