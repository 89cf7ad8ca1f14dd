package config

import (
	"bytes"
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

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
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
		"deliveries", "endpoints", "sinks", "actions",
	}
}

// Load reads and checks the file at path against the linked connectors. Its
// error is [Problems], or that of opening the file.
func Load(path string, plugins []framework.Plugin) (*File, error) {
	return load(path, plugins, &reader{resolve: &resolver{env: os.LookupEnv}})
}

// LoadProcess is Load for what a file says of the process: its connections are left
// alone.
func LoadProcess(path string, plugins []framework.Plugin) (*File, error) {
	return load(path, plugins, &reader{resolve: &resolver{env: os.LookupEnv}, process: true})
}

func load(path string, plugins []framework.Plugin, r *reader) (*File, error) {
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
	return parse(path, content, plugins, r)
}

// Parse checks the content of a configuration file. path names it in problems,
// and env looks up environment variables.
func Parse(path string, content []byte, env func(string) (string, bool), plugins []framework.Plugin) (*File, error) {
	return parse(path, content, plugins, &reader{resolve: &resolver{env: env}})
}

// ParseConnections is Parse for the connections and projects of a file that comes
// from elsewhere: what it says of the process is left alone.
func ParseConnections(path string, content []byte, in Arriving, plugins []framework.Plugin) (*File, error) {
	return parse(path, content, plugins, &reader{resolve: &resolver{lookup: in.Lookup}, part: true, arriving: in})
}

func parse(path string, content []byte, plugins []framework.Plugin, r *reader) (*File, error) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxProblems(path, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil && len(second.Content) > 0 && second.Content[0].Tag != "!!null":
		return nil, Problems{{File: path, Line: second.Line, Column: second.Column, Message: "the file has more than one document; keep one, or apply them one by one"}}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, syntaxProblems(path, err)
	}
	f := &File{Path: path, Retention: store.DefaultRetention()}
	if len(document.Content) == 0 {
		return f, nil
	}
	r.file, r.streams, r.unsure = path, map[string][]StreamRef{}, map[string]bool{}
	r.noNUL(document.Content[0])
	r.fileFields(document.Content[0], f, plugins)
	if len(r.problems) > 0 {
		return nil, r.tidy(r.problems)
	}
	f.Warnings = r.tidy(r.warnings)
	return f, nil
}

// noNUL refuses texts that no store and no header can hold.
func (r *reader) noNUL(n *yaml.Node) {
	if strings.ContainsRune(n.Value, 0) {
		r.problem(n, "a text holds a NUL character; leave it out")
	}
	for _, below := range n.Content {
		r.noNUL(below)
	}
}

// tidy puts problems in the order of the file, without secrets.
func (r *reader) tidy(problems Problems) Problems {
	hide := r.resolve.hider()
	for i := range problems {
		p := &problems[i]
		p.Message = hide.Replace(p.Message)
		if p.Path == "" && p.Line < len(r.paths) {
			p.Path = r.paths[p.Line]
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return problems
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
	problem := Problem{File: path, Line: 1, Column: 1, unparsable: true, Message: "not valid YAML: " + unknownAnchor.ReplaceAllString(message, "unknown anchor; put values that begin with * into quotes")}
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		problem.Line, _ = strconv.Atoi(m[1])
		if m[2] != "" {
			problem.Column, _ = strconv.Atoi(m[2])
		}
	}
	return Problems{problem}
}

// networks reads a list of networks.
func (r *reader) networks(to *[]netip.Prefix, name string) func(*yaml.Node) {
	return r.list(name, func(n *yaml.Node) {
		var s string
		r.text(&s, "an entry of "+name)(n)
		prefix, err := netip.ParsePrefix(s)
		if err != nil && s != "" {
			r.problem(n, "%s: %q is no network such as 10.0.0.0/8", name, s)
			return
		}
		*to = append(*to, prefix)
	})
}

func (r *reader) fileFields(n *yaml.Node, f *File, plugins []framework.Plugin) {
	var connections []*yaml.Node
	fields := []field{
		{"listen", r.address(&f.Listen, "listen")},
		{"listen_public", r.address(&f.ListenPublic, "listen_public")},
		{"connect_listen", r.address(&f.ConnectListen, "connect_listen")},
		{"tls_cert", r.text(&f.TLS.Cert, "tls_cert")},
		{"tls_key", r.text(&f.TLS.Key, "tls_key")},
		{"tls_client_ca", r.text(&f.TLS.ClientCA, "tls_client_ca")},
		{"public_url", r.text(&f.PublicURL, "public_url")},
		{"allowed_hosts", r.texts(&f.AllowedHosts, "allowed_hosts")},
		{"admin_token", r.text(&f.AdminToken, "admin_token")},
		{"secrets", r.secrets(&f.Secrets)},
		{"store", r.text(&f.Store, "store")},
		{"store_direct", r.text(&f.StoreDirect, "store_direct")},
		{"data_dir", r.text(&f.DataDir, "data_dir")},
		{"drain_delay", r.duration(&f.DrainDelay, "drain_delay")},
		{"allow_private", r.networks(&f.AllowPrivate, "allow_private")},
		{"trusted_proxies", r.networks(&f.TrustedProxies, "trusted_proxies")},
		{"spread", func(n *yaml.Node) {
			spread := true
			r.boolean(&spread, "spread")(n)
			f.NoSpread = !spread
		}},
		{"retention", r.retention(&f.Retention)},
		{"projects", r.list("projects", func(n *yaml.Node) { r.project(n, f) })},
		{"connections", r.list("connections", func(n *yaml.Node) {
			if !r.process {
				connections = append(connections, n)
			}
		})},
	}
	for i := range fields {
		if r.part && !slices.Contains([]string{"projects", "connections", "retention"}, fields[i].name) {
			fields[i].read = func(*yaml.Node) {}
		}
	}
	r.mapping(n, "the file", fields)
	r.publicURL = f.PublicURL
	for _, c := range connections {
		r.connection(c, f, plugins)
	}
	known := map[string][]StreamRef{}
	r.subscriptions(func(project string) []StreamRef {
		if _, ok := known[project]; !ok {
			known[project] = r.knownTo(f, project)
		}
		return known[project]
	})
	r.triggerActions(f, plugins)
}

func (r *reader) address(into *string, name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.text(into, name)(n)
		if _, _, err := net.SplitHostPort(*into); err != nil && *into != "" {
			r.problem(n, "%s: %q is no address such as 127.0.0.1:9657", name, *into)
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
