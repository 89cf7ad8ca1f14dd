package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/webhook"
)

// connectionNodes are where the keys of a connection stand.
type connectionNodes struct {
	whole, name, project, connector, class, kind, stream, streams, topics, start, rate, config, endpoints *yaml.Node
}

// at returns the node if it is there, else that of the whole connection.
func (c *connectionNodes) at(preferred *yaml.Node) *yaml.Node { return cmp.Or(preferred, c.whole) }

func (r *reader) connection(n *yaml.Node, f *File, plugins []framework.Plugin) {
	c := Connection{Project: "default", Type: "source", Enabled: true, Settings: map[string]any{}}
	if n.Kind != yaml.MappingNode {
		r.problem(n, "a connection must be a mapping of keys to values, such as name and connector")
		return
	}
	r.unread = map[string]bool{}
	at := &connectionNodes{whole: n}
	keep := func(at **yaml.Node, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { *at = n; read(n) }
	}
	var class, stream, start, displayName string
	r.mapping(n, "a connection", []field{
		{"name", keep(&at.name, r.text(&c.Name, "name"))},
		{"display_name", r.text(&c.DisplayName, "display_name")},
		{"displayName", r.text(&displayName, "displayName")},
		{"description", r.text(&c.Description, "description")},
		{"labels", r.labels(&c.Labels)},
		{"extra", r.extra(&c.Extra)},
		{"project", keep(&at.project, r.text(&c.Project, "project"))},
		{"connector", keep(&at.connector, r.text(&c.Connector, "connector"))},
		{"class", keep(&at.class, r.text(&class, "class"))},
		{"type", keep(&at.kind, r.text(&c.Type, "type"))},
		{"enabled", r.boolean(&c.Enabled, "enabled")},
		{"stream", keep(&at.stream, r.text(&stream, "stream"))},
		{"streams", keep(&at.streams, r.texts(&c.Streams, "streams"))},
		{"topics", keep(&at.topics, r.topics(&c.Streams))},
		{"start", keep(&at.start, r.text(&start, "start"))},
		{"retention", func(n *yaml.Node) {
			own := f.Retention
			r.retention(&own)(n)
			c.Retention = &own
		}},
		{"rate_limit", keep(&at.rate, r.rate(&c.RateLimit))},
		{"budget", r.text(&c.Budget, "budget")},
		{"config", keep(&at.config, func(n *yaml.Node) { c.Settings = r.settings(n) })},
		{"endpoints", keep(&at.endpoints, r.endpoints(&c.Endpoints))},
	})
	r.hidden(&c, n, at)
	if displayName != "" && c.DisplayName != "" && displayName != c.DisplayName {
		r.problem(n, "display_name and displayName are the same thing with two values; keep one")
	}
	c.DisplayName = cmp.Or(c.DisplayName, displayName)
	if c.Budget != "" && !namePattern.MatchString(c.Budget) {
		r.problem(n, "budget %q does not match %s", c.Budget, namePattern)
	}
	if at.name == nil {
		r.problem(n, "a connection needs a name")
	} else if !namePattern.MatchString(c.Name) && c.Name != "" {
		r.problem(at.name, "connection name %q does not match %s", c.Name, namePattern)
	}
	if c.Project != "default" && !slices.ContainsFunc(f.Projects, func(p Project) bool { return p.Name == c.Project }) && !slices.Contains(r.arriving.Projects, c.Project) {
		r.problem(at.at(at.project), "project %q is not listed under projects", c.Project)
	}
	if c.Name != "" && slices.ContainsFunc(f.Connections, func(o Connection) bool { return o.Project == c.Project && o.Name == c.Name }) {
		r.problem(at.at(at.name), "connection %q is listed twice in project %q", c.Name, c.Project)
	}
	if c.Type != typeSource && c.Type != typeSink && c.Type != typeTrigger {
		r.problem(at.at(at.kind), "type %q is unknown; there are source, sink and trigger", c.Type)
	}
	switch {
	case at.class == nil:
	case at.connector != nil && c.Connector != class:
		r.problem(at.class, "class and connector name two connectors; they are the same thing, keep one")
	default:
		c.Connector, at.connector = class, at.class
	}
	plugin, ok := framework.Plugin{}, false
	if c.Type != typeTrigger {
		plugin, ok = r.plugin(&c, at, plugins)
	}
	switch {
	case c.Type == typeTrigger:
		r.asTrigger(&c, at)
	case !ok:
		r.unsure[c.Project] = true
	case c.Type == typeSink:
		r.asSink(&c, at, plugin, stream, start)
	case !plugin.Source():
		r.problem(at.at(at.connector), "connector %q is no source; say type: sink", c.Connector)
	case at.topics != nil || at.start != nil:
		r.problem(at.at(cmp.Or(at.topics, at.start)), "topics and start belong to type: sink; a source selects its streams with streams")
	default:
		r.oneStream(&c, at, plugin, stream)
		r.againstConnector(&c, at, plugin)
	}
	if len(r.problems) == 0 {
		c.Document, _ = plainOf(n, 0).(map[string]any)
	}
	f.Connections = append(f.Connections, c)
}

// Types of a connection.
const (
	typeSource = "source"
	typeSink   = "sink"
)

// rate reads how many requests a provider allows.
func (r *reader) rate(into *budget.Rate) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var text string
		r.text(&text, "rate_limit")(n)
		rate, err := budget.ParseRate(text)
		if err != nil && text != "" {
			r.problem(n, "rate_limit: %v", err)
		}
		*into = rate
	}
}

// plugin finds the connector that a connection names.
func (r *reader) plugin(c *Connection, at *connectionNodes, plugins []framework.Plugin) (framework.Plugin, bool) {
	index := slices.IndexFunc(plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector })
	if index >= 0 {
		return plugins[index], true
	}
	var known []string
	for _, p := range plugins {
		known = append(known, p.Key())
	}
	slices.Sort(known)
	hint := framework.Suggest(c.Connector, known)
	if hint == "" {
		hint = "; linked are " + strings.Join(known, ", ")
	}
	r.problem(at.at(at.connector), "no connector %q is linked into this binary%s", c.Connector, hint)
	return framework.Plugin{}, false
}

// oneStream puts the connection's own key stream where it belongs: into the
// settings of a connector that takes its streams from there, else it selects a
// stream as streams does.
func (r *reader) oneStream(c *Connection, at *connectionNodes, plugin framework.Plugin, stream string) {
	if at.stream == nil {
		return
	}
	if !plugin.Dynamic() {
		if at.streams != nil {
			r.problem(at.stream, "stream and streams are both given; keep one")
			return
		}
		c.Streams = []string{stream}
		at.streams = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{at.stream}}
		return
	}
	if given, ok := c.Settings["stream"]; ok && given != stream {
		r.problem(at.stream, "stream of the connection and of its config differ; keep one")
		return
	}
	if c.Settings == nil {
		c.Settings = map[string]any{}
	}
	c.Settings["stream"] = stream
}

// againstConnector holds a connection against its connector: its settings, what
// they declare, the selected streams and the secrets of the endpoints.
func (r *reader) againstConnector(c *Connection, at *connectionNodes, plugin framework.Plugin) {
	config := at.at(at.config)
	declared, err := plugin.Declare(c.Settings)
	if findings, ok := errors.AsType[framework.CatalogErrors](err); ok {
		for _, f := range findings {
			r.finding(subjectNode(at, f.Subject), c, f)
		}
	} else {
		r.settingProblems(c, config, plugin, err)
	}
	if err != nil {
		if plugin.Dynamic() {
			r.unsure[c.Project] = true
			return // nobody knows the streams
		}
		declared = plugin.Connector()
	} else if plugin.Dynamic() {
		for _, f := range catalog.Validate(declared) {
			r.finding(subjectNode(at, f.Subject), c, f)
		}
	}
	for _, w := range plugin.Warnings(c.Settings) {
		n := settingNode(config, w.Name)
		r.warnings = append(r.warnings, Problem{File: r.file, Line: n.Line, Column: n.Column, Message: fmt.Sprintf("connection %q: %s", c.Name, w)})
	}
	manifest := declared.Manifest()
	r.selection(c, at, manifest)
	for _, s := range manifest.Streams {
		if len(c.Streams) == 0 || slices.Contains(c.Streams, s.Key) {
			ref := StreamRef{Connection: c.Name, Stream: s.Key, Former: s.Former()}
			key := c.Project + "/" + c.Name
			r.streams[key] = append(r.streams[key], ref)
		}
	}
	var paths []string
	for _, e := range declared.Endpoints {
		r.endpointSecret(c, e, config)
		paths = append(paths, e.Path())
	}
	r.knownEndpoints(c, at.at(at.endpoints), paths)
}

// settingProblems reports what is wrong with settings.
func (r *reader) settingProblems(c *Connection, config *yaml.Node, plugin framework.Plugin, err error) {
	var settings framework.SettingErrors
	if err != nil && !errors.As(err, &settings) {
		r.problem(config, "connection %q: %s", c.Name, err)
	}
	for _, e := range settings {
		if r.couldNotRead(e.Name) && !strings.HasPrefix(e.Reason, "is unknown") {
			continue
		}
		rule, prefix := ruleOfSetting(c, e), ""
		if rule != "" {
			prefix = rule + " "
		}
		before := len(r.problems)
		r.problem(settingNode(config, e.Name), "%sconnection %q: %s", prefix, c.Name, e)
		if len(r.problems) > before {
			r.problems[before].Rule = rule
			if rule == ruleBounds {
				r.problems[before].Edit = toDefault(config, e.Name, plugin.Settings())
			}
			if r.strict && e.Name != "" {
				r.problems[before].Path = "config." + e.Name
			}
		}
	}
}

// finding reports what a rule of the catalog says about a connection.
func (r *reader) finding(n *yaml.Node, c *Connection, f catalog.Finding) {
	p := Problem{File: r.file, Line: n.Line, Column: n.Column, Message: fmt.Sprintf("%s connection %q: %s", f.Rule, c.Name, f.Message), Rule: f.Rule}
	switch {
	case f.Severity != catalog.SeverityError:
		r.warnings = append(r.warnings, p)
	case len(r.problems) < maxProblems:
		r.problems = append(r.problems, p)
	}
}

// selection checks the streams that a connection selects.
func (r *reader) selection(c *Connection, at *connectionNodes, manifest catalog.Manifest) {
	var keys []string
	for _, s := range manifest.Streams {
		keys = append(keys, s.Key)
	}
	for i, key := range c.Streams {
		node := at.at(at.streams)
		if at.streams != nil && i < len(at.streams.Content) {
			node = at.streams.Content[i]
		}
		if now := renamedTo(manifest, key); now != "" {
			key, c.Streams[i] = now, now
		}
		if slices.Contains(c.Streams[:i], key) {
			r.problem(node, "stream %q is listed twice", key)
		}
		if _, ok := manifest.Stream(key); !ok {
			r.problem(node, "connector %q has no stream %q%s", c.Connector, key, framework.Suggest(key, keys))
		}
	}
}

// renamedTo is the key of the stream that had the given one before, or "". The
// operator's file need not change with a new version of a connector.
func renamedTo(manifest catalog.Manifest, key string) string {
	if _, ok := manifest.Stream(key); ok || key == "" {
		return ""
	}
	for _, s := range manifest.Streams {
		if slices.Contains(s.Former(), key) {
			return s.Key
		}
	}
	return ""
}

func (r *reader) endpointSecret(c *Connection, e catalog.Endpoint, n *yaml.Node) {
	spec := e.Spec()
	names := spec.SecretSettings()
	if slices.ContainsFunc(names, r.couldNotRead) {
		return
	}
	missing := false
	for _, name := range names {
		secrets := framework.SecretList(framework.SettingAt(c.Settings, name))
		if !slices.ContainsFunc(secrets, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			r.problem(n, "connection %q: setting %q is required: endpoint %q verifies its deliveries with it", c.Name, name, e.Path())
			missing = true
		}
	}
	at := n
	if len(names) > 0 {
		at = settingNode(n, names[0])
	}
	secrets, err := webhook.ReadSecrets(spec, func(name string) any { return framework.SettingAt(c.Settings, name) })
	if err == nil && !missing {
		_, err = webhook.Open(spec, webhook.Config{Secrets: secrets, PublicURL: r.publicURL})
	}
	if err != nil {
		r.problem(at, "connection %q, endpoint %q: %s", c.Name, e.Path(), err)
	}
}

// settingNode finds the place of the setting at path below n, or of the nearest
// one around it that is there.
func settingNode(n *yaml.Node, path string) *yaml.Node {
	found := n
	if at := plain(n); at.Kind == yaml.MappingNode {
		// A name with dots may be written as it is.
		for i := 0; i+1 < len(at.Content); i += 2 {
			if at.Content[i].Value == path {
				return at.Content[i]
			}
		}
	}
	for _, step := range framework.SplitPath(path) {
		at := plain(n)
		n = nil
		switch at.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(at.Content); i += 2 {
				if at.Content[i].Value == step {
					found, n = at.Content[i], at.Content[i+1]
					break
				}
			}
		case yaml.SequenceNode:
			for i, entry := range at.Content {
				if fmt.Sprint(i) == step {
					found, n = entry, entry
				}
			}
		default:
		}
		if n == nil {
			break
		}
	}
	return found
}

// subjectNode finds where the settings name the stream or endpoint that a
// finding is about.
func subjectNode(at *connectionNodes, subject string) *yaml.Node {
	if at.stream != nil && at.stream.Value == subject {
		return at.stream
	}
	config := at.at(at.config)
	if found := scalarNode(config, subject, 0); found != nil {
		return found
	}
	return config
}

func scalarNode(n *yaml.Node, value string, depth int) *yaml.Node {
	if depth > maxDepth || value == "" {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Value == value {
		return n
	}
	for i, below := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue // a key
		}
		if found := scalarNode(below, value, depth+1); found != nil {
			return found
		}
	}
	return nil
}
