package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
)

// MaxFileBytes bounds a configuration file.
const MaxFileBytes = 16 << 20

// namePattern is what names of projects and connections match.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ReservedProjects may not be used as project names: they are first segments
// of the server's paths.
func ReservedProjects() []string {
	return []string{
		"api", "p", "sink", "webhooks", "connectors", "connector-plugins", "admin", "health", "healthz",
		"readyz", "metrics", "ui", "static", "assets", "docs", "login", "logout", "debug", "streams", "connections", "events",
	}
}

// Load reads and checks the file at path against the linked connectors. Its
// error is [Problems], or that of opening the file.
func Load(path string, plugins []framework.Plugin) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	// Not by the size that the system tells: that of a pipe or a device is 0.
	content, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(content) > MaxFileBytes {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, MaxFileBytes)
	}
	return Parse(path, content, os.LookupEnv, plugins)
}

// Parse checks the content of a configuration file. path names it in problems,
// and env looks up environment variables.
func Parse(path string, content []byte, env func(string) (string, bool), plugins []framework.Plugin) (*File, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, syntaxProblems(path, err)
	}
	f := &File{Path: path}
	if len(document.Content) == 0 {
		return f, nil
	}
	r := &reader{file: path, resolve: &resolver{env: env}}
	r.fileFields(document.Content[0], f, plugins)
	if len(r.problems) > 0 {
		hide := r.resolve.hider()
		for i := range r.problems {
			r.problems[i].Message = hide.Replace(r.problems[i].Message)
		}
		slices.SortStableFunc(r.problems, func(a, b Problem) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, r.problems
	}
	return f, nil
}

// yamlLine finds the line in an error of the YAML parser.
var yamlLine = regexp.MustCompile(`line (\d+)(?:, column (\d+))?`)

// unknownAnchor finds what may be a secret: one that begins with an asterisk.
var unknownAnchor = regexp.MustCompile(`unknown anchor.*`)

func syntaxProblems(path string, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(message, "cannot start any token") {
		message += "; a tab cannot indent, use spaces"
	}
	problem := Problem{File: path, Line: 1, Column: 1, Message: "not valid YAML: " + unknownAnchor.ReplaceAllString(message, "unknown anchor; put values that begin with * into quotes")}
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		problem.Line, _ = strconv.Atoi(m[1])
		if m[2] != "" {
			problem.Column, _ = strconv.Atoi(m[2])
		}
	}
	return Problems{problem}
}

func (r *reader) fileFields(n *yaml.Node, f *File, plugins []framework.Plugin) {
	var connections []*yaml.Node
	r.mapping(n, "the file", []field{
		{"listen", r.address(&f.Listen)},
		{"public_url", r.text(&f.PublicURL, "public_url")},
		{"allowed_hosts", r.texts(&f.AllowedHosts, "allowed_hosts")},
		{"admin_token", r.text(&f.AdminToken, "admin_token")},
		{"store", r.text(&f.Store, "store")},
		{"data_dir", r.text(&f.DataDir, "data_dir")},
		{"drain_delay", r.duration(&f.DrainDelay, "drain_delay")},
		{"allow_private", r.list("allow_private", func(n *yaml.Node) {
			var s string
			r.text(&s, "an entry of allow_private")(n)
			prefix, err := netip.ParsePrefix(s)
			if err != nil && s != "" {
				r.problem(n, "allow_private: %q is no network such as 10.0.0.0/8", s)
				return
			}
			f.AllowPrivate = append(f.AllowPrivate, prefix)
		})},
		{"projects", r.list("projects", func(n *yaml.Node) { r.project(n, f) })},
		{"connections", r.list("connections", func(n *yaml.Node) { connections = append(connections, n) })},
	})
	for _, c := range connections {
		r.connection(c, f, plugins)
	}
}

func (r *reader) address(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.text(into, "listen")(n)
		if _, _, err := net.SplitHostPort(*into); err != nil && *into != "" {
			r.problem(n, "listen: %q is no address such as 127.0.0.1:9657", *into)
		}
	}
}

func (r *reader) duration(into *time.Duration, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := time.ParseDuration(n.Value)
		if err != nil || d < 0 || d > time.Hour {
			r.problem(n, "%s: %q is no duration from 0s to 1h", what, n.Value)
			return
		}
		*into = d
	}
}

func (r *reader) project(n *yaml.Node, f *File) {
	p := Project{}
	r.mapping(n, "a project", []field{
		{"name", r.text(&p.Name, "name")},
		{"description", r.text(&p.Description, "description")},
	})
	switch {
	case !namePattern.MatchString(p.Name):
		r.problem(n, "project name %q does not match %s", p.Name, namePattern)
	case slices.Contains(ReservedProjects(), p.Name):
		r.problem(n, "project name %q is reserved", p.Name)
	case slices.ContainsFunc(f.Projects, func(o Project) bool { return o.Name == p.Name }):
		r.problem(n, "project %q is listed twice", p.Name)
	}
	f.Projects = append(f.Projects, p)
}

func (r *reader) connection(n *yaml.Node, f *File, plugins []framework.Plugin) {
	c := Connection{Project: "default", Type: "source", Enabled: true, Settings: map[string]any{}}
	if n.Kind != yaml.MappingNode {
		r.problem(n, "a connection must be a mapping of keys to values, such as name and connector")
		return
	}
	r.unread = map[string]bool{}
	var nameNode, projectNode, connectorNode, typeNode, configNode, streamsNode *yaml.Node
	keep := func(at **yaml.Node, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { *at = n; read(n) }
	}
	r.mapping(n, "a connection", []field{
		{"name", keep(&nameNode, r.text(&c.Name, "name"))},
		{"display_name", r.text(&c.DisplayName, "display_name")},
		{"project", keep(&projectNode, r.text(&c.Project, "project"))},
		{"connector", keep(&connectorNode, r.text(&c.Connector, "connector"))},
		{"type", keep(&typeNode, r.text(&c.Type, "type"))},
		{"enabled", r.boolean(&c.Enabled, "enabled")},
		{"streams", keep(&streamsNode, r.texts(&c.Streams, "streams"))},
		{"config", keep(&configNode, func(n *yaml.Node) {
			if n.Kind != yaml.MappingNode {
				r.problem(n, "config must be a mapping of settings to values")
				return
			}
			c.Settings, _ = r.value(n, "config", 0).(map[string]any)
		})},
	})
	at := func(preferred *yaml.Node) *yaml.Node {
		if preferred != nil {
			return preferred
		}
		return n
	}
	if nameNode == nil {
		r.problem(n, "a connection needs a name")
	} else if !namePattern.MatchString(c.Name) && c.Name != "" {
		r.problem(at(nameNode), "connection name %q does not match %s", c.Name, namePattern)
	}
	if c.Project != "default" && !slices.ContainsFunc(f.Projects, func(p Project) bool { return p.Name == c.Project }) {
		r.problem(at(projectNode), "project %q is not listed under projects", c.Project)
	}
	if c.Name != "" && slices.ContainsFunc(f.Connections, func(o Connection) bool { return o.Project == c.Project && o.Name == c.Name }) {
		r.problem(at(nameNode), "connection %q is listed twice in project %q", c.Name, c.Project)
	}
	if c.Type != "source" {
		r.problem(at(typeNode), "type %q is not supported; only source is, so far", c.Type)
	}
	r.againstConnector(&c, plugins, at, connectorNode, streamsNode, configNode)
	f.Connections = append(f.Connections, c)
}

// againstConnector holds a connection against the connector it names.
func (r *reader) againstConnector(c *Connection, plugins []framework.Plugin, at func(*yaml.Node) *yaml.Node, connectorNode, streamsNode, configNode *yaml.Node) {
	index := slices.IndexFunc(plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector })
	if index < 0 {
		var known []string
		for _, p := range plugins {
			known = append(known, p.Key())
		}
		slices.Sort(known)
		hint := framework.Suggest(c.Connector, known)
		if hint == "" {
			hint = "; linked are " + strings.Join(known, ", ")
		}
		r.problem(at(connectorNode), "no connector %q is linked into this binary%s", c.Connector, hint)
		return
	}
	plugin := plugins[index]
	manifest := plugin.Connector().Manifest()
	var keys []string
	for _, s := range manifest.Streams {
		keys = append(keys, s.Key)
	}
	for i, key := range c.Streams {
		if slices.Contains(c.Streams[:i], key) {
			r.problem(streamsNode.Content[i], "stream %q is listed twice", key)
		}
		if _, ok := manifest.Stream(key); !ok {
			node := at(streamsNode)
			if streamsNode != nil && i < len(streamsNode.Content) {
				node = streamsNode.Content[i]
			}
			r.problem(node, "connector %q has no stream %q%s", c.Connector, key, framework.Suggest(key, keys))
		}
	}
	var settings framework.SettingErrors
	err := plugin.CheckSettings(c.Settings)
	switch {
	case errors.As(err, &settings):
		for _, e := range settings {
			if r.unread[e.Name] && !strings.HasPrefix(e.Reason, "is unknown") {
				continue
			}
			r.problem(settingNode(at(configNode), e.Name), "connection %q: %s", c.Name, e)
		}
	case err != nil:
		r.problem(at(configNode), "connection %q: %s", c.Name, err)
	}
	for _, e := range plugin.Connector().Endpoints {
		r.endpointSecret(c, e, at(configNode))
	}
}

func (r *reader) endpointSecret(c *Connection, e catalog.Endpoint, n *yaml.Node) {
	name := e.Spec().SecretSetting
	if name == "" || r.unread[name] {
		return
	}
	secrets := framework.SecretList(c.Settings[name])
	if slices.ContainsFunc(secrets, func(s string) bool { return strings.TrimSpace(s) != "" }) {
		if _, err := webhook.New(e.Spec(), secrets); err != nil {
			r.problem(settingNode(n, name), "connection %q, endpoint %q: %s", c.Name, e.Path(), err)
		}
		return
	}
	r.problem(n, "connection %q: setting %q is required: endpoint %q verifies its deliveries with it", c.Name, name, e.Path())
}

// settingNode finds the key of a setting, to point at it.
func settingNode(n *yaml.Node, name string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i]
			}
		}
	}
	return n
}
