package kafkaconnect

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework"
)

type pluginView struct {
	Class   string `json:"class"`
	Type    string `json:"type"`
	Version string `json:"version"`
}

// plugins lists the connectors. One that is a source and a sink is there twice.
// There are no converters and transformations, so connectorsOnly changes nothing.
func (f *Face) plugins(*http.Request) (reply, error) {
	list := []pluginView{}
	for _, kind := range []map[string]*class{f.classes.sinks, f.classes.sources} {
		for _, key := range slices.Sorted(maps.Keys(kind)) {
			list = append(list, pluginView{key, kind[key].kind, f.config.Version})
		}
	}
	return reply{status: http.StatusOK, body: list}, nil
}

// definition describes a key of a configuration.
type definition struct {
	Name         string   `json:"name"`
	Type         string   `json:"type"`
	Required     bool     `json:"required"`
	DefaultValue *string  `json:"default_value"`
	Importance   string   `json:"importance"`
	Doc          string   `json:"documentation"`
	Group        string   `json:"group"`
	Width        string   `json:"width"`
	DisplayName  string   `json:"display_name"`
	Dependents   []string `json:"dependents"`
	Order        int      `json:"order"`
}

// groupCommon holds the keys that every connector has.
const groupCommon = "Common"

func common(kind string) []definition {
	none := ""
	list := []definition{
		{Name: keyName, Type: "STRING", Required: true, Importance: "HIGH", Width: "MEDIUM", DisplayName: "Connector name", Doc: "A name for this connector, any text."},
		{Name: keyClass, Type: "STRING", Required: true, Importance: "HIGH", Width: "LONG", DisplayName: "Connector class", Doc: "The connector. A configuration with callback.request.url and no class is http."},
		{Name: keyType, Type: "STRING", Importance: "LOW", Width: "SHORT", DisplayName: "Type", DefaultValue: &none, Doc: "source or sink, for a connector that is both and a configuration that says neither by its topics."},
	}
	if kind == typeSink {
		list = append(list,
			definition{Name: keyTopics, Type: "LIST", Importance: "HIGH", Width: "LONG", DisplayName: "Topics", DefaultValue: &none, Doc: "The streams to deliver, as ids \"connection.stream\", keys or globs, with commas between."},
			definition{Name: keyRegex, Type: "STRING", Importance: "HIGH", Width: "LONG", DisplayName: "Topics regex", DefaultValue: &none, Doc: "A regular expression (RE2) that the whole id of a stream matches; later streams are taken too."},
			definition{Name: keyStart, Type: "STRING", Importance: "MEDIUM", Width: "SHORT", DisplayName: "Start", DefaultValue: &none, Doc: "Where a stream is begun: earliest (the default) or latest."})
	}
	for i := range list {
		list[i].Group, list[i].Order, list[i].Dependents = groupCommon, i+1, []string{}
	}
	return list
}

// definitions describes every key of a class.
func (c *class) definitions() []definition {
	list := common(c.kind)
	orders := map[string]int{}
	for _, path := range c.order {
		s := c.leaves[path]
		key := path
		if named := spellings[path]; named != "" && c.kind == typeSink && c.key == classHTTP {
			key = named
		}
		d := definition{Name: key, Type: typeName(s), Required: s.Required, Importance: "MEDIUM", Doc: s.Doc, Group: groupOf(path), Width: "MEDIUM", DisplayName: key, Dependents: []string{}}
		if s.Required {
			d.Importance = "HIGH"
		}
		switch {
		case s.Default != nil:
			text := plain(s.Default)
			d.DefaultValue = &text
		case key == "callback.request.method":
			text := "POST"
			d.DefaultValue = &text
		}
		orders[d.Group]++
		d.Order = orders[d.Group]
		list = append(list, d)
	}
	return list
}

// groupOf is the first step of a path that has several.
func groupOf(path string) string {
	first, _, deeper := strings.Cut(path, ".")
	if !deeper {
		return "Settings"
	}
	return first
}

func typeName(s framework.Setting) string {
	switch {
	case s.Secret:
		return "PASSWORD"
	case s.Type == "integer":
		return "INT"
	case s.Type == "number":
		return "DOUBLE"
	case s.Type == "boolean":
		return "BOOLEAN"
	case s.Type == "list" && s.Entry != nil && s.Entry.Type == "text":
		return "LIST"
	default:
		return "STRING"
	}
}

// plugin is the class that the path names, as a sink where it is both.
func (f *Face) plugin(r *http.Request) (*class, error) {
	key := chi.URLParam(r, "plugin")
	first, second := f.classes.sinks[key], f.classes.sources[key]
	if r.URL.Query().Get(keyType) == typeSource {
		first, second = second, first
	}
	switch {
	case first != nil:
		return first, nil
	case second != nil:
		return second, nil
	}
	return nil, errorf(http.StatusNotFound, "Unknown plugin %s.", key)
}

func (f *Face) pluginConfig(r *http.Request) (reply, error) {
	c, err := f.plugin(r)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: c.definitions()}, nil
}

type valueView struct {
	Name              string   `json:"name"`
	Value             *string  `json:"value"`
	RecommendedValues []string `json:"recommended_values"`
	Errors            []string `json:"errors"`
	Visible           bool     `json:"visible"`
}

type configView struct {
	Definition definition `json:"definition"`
	Value      valueView  `json:"value"`
}

// validate says key by key what is right and wrong with a configuration.
func (f *Face) validate(r *http.Request) (reply, error) {
	if _, err := f.plugin(r); err != nil {
		return reply{}, err
	}
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	config, err := configOf("the request body", body)
	if err != nil {
		return reply{}, err
	}
	key := chi.URLParam(r, "plugin")
	switch inside := config[keyClass]; {
	case inside == "" && (key != classHTTP || config["callback.request.url"] == ""):
		return reply{}, errorf(http.StatusBadRequest, "Included connector config %v does not contain %q.", slices.Sorted(maps.Keys(config)), keyClass)
	case inside != "" && inside != key:
		return reply{}, errorf(http.StatusBadRequest, "Included connector type %s does not match request type %s", inside, key)
	}
	class, errs := f.classes.of(config)
	if class == nil {
		return reply{}, errorf(http.StatusBadRequest, "%s", errs[0].message)
	}
	read := class.read(config[keyName], config)
	errs = read.errs
	if problem := checkName(config[keyName]); problem != "" {
		errs = append(errs, keyError{keyName, problem})
		read.spec.Name = "unnamed"
	}
	var invalid *InvalidError
	switch err := f.config.Desk.Check(r.Context(), project(r), read.spec); {
	case errors.As(err, &invalid):
		errs = append(errs, read.others(invalid)...)
	case err != nil:
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: result(read, config, errs)}, nil
}

// result puts what was found where its keys are.
func result(read *reading, config map[string]string, errs []keyError) map[string]any {
	class := read.class
	of := map[string][]string{}
	for _, e := range errs {
		of[e.key] = append(of[e.key], e.message)
	}
	groups, list := []string{}, []configView{}
	add := func(d definition) {
		if !slices.Contains(groups, d.Group) {
			groups = append(groups, d.Group)
		}
		v := valueView{Name: d.Name, RecommendedValues: []string{}, Errors: []string{}, Visible: true, Value: d.DefaultValue}
		if text, ok := config[d.Name]; ok {
			switch {
			case d.Type == "PASSWORD":
				text = hidden
			case d.Name == "headers" || d.Name == spellings["headers"]:
				text = hiddenHeaders(text)
			case read.hidden[d.Name]:
				text = hidden
			}
			v.Value = &text
		}
		v.Errors = append(v.Errors, of[d.Name]...)
		delete(of, d.Name)
		list = append(list, configView{d, v})
	}
	for _, d := range class.definitions() {
		if s, ok := class.leaves[d.Name]; ok && s.Secret {
			d.Type = "PASSWORD"
		}
		add(d)
	}
	for _, w := range read.warned {
		kind := "STRING"
		if read.hidden[w.key] {
			kind = "PASSWORD"
		}
		add(definition{Name: w.key, Type: kind, Importance: "LOW", Width: "NONE", DisplayName: w.key, Group: groupUnknown, Dependents: []string{}, Doc: "Warning: " + w.key + " " + w.message + "."})
	}
	// Keys that were written by another of their names.
	for _, key := range slices.Sorted(maps.Keys(of)) {
		add(definition{Name: key, Type: "STRING", Importance: "MEDIUM", Width: "MEDIUM", DisplayName: key, Group: "Settings", Dependents: []string{}})
	}
	return map[string]any{"name": class.key, "error_count": len(errs), "groups": groups, "configs": list}
}

// hidden stands for a secret, as Kafka Connect says it.
const hidden = "[hidden]"

// hiddenHeaders shows the names in a JSON object of headers: values may be secrets.
func hiddenHeaders(text string) string {
	var list map[string]any
	if json.Unmarshal([]byte(text), &list) != nil {
		return hidden
	}
	for name := range list {
		list[name] = hidden
	}
	shown, err := json.Marshal(list)
	if err != nil {
		return hidden
	}
	return string(shown)
}

// groupUnknown holds the keys that are kept and mean nothing here.
const groupUnknown = "Unknown"
