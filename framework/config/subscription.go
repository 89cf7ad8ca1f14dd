package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
)

// StreamRef names a stream of a project: by the name of its connection and its
// key there. Former are keys that it had before.
type StreamRef struct {
	Connection, Stream string
	Former             []string
}

// ID is the stream's id within its project.
func (r StreamRef) ID() string { return r.Connection + "." + r.Stream }

// matcher returns what a subscription that is a pattern matches ids with, or nil
// for one that names a stream: a glob, or a regular expression between slashes.
func matcher(s string) (func(id string) bool, error) {
	if len(s) > 1 && s[0] == '/' && s[len(s)-1] == '/' {
		whole, err := regexp.Compile(`^(?:` + s[1:len(s)-1] + `)$`)
		if err != nil {
			return nil, fmt.Errorf("stream %q is no regular expression: %w", s, err)
		}
		return whole.MatchString, nil
	}
	if !strings.ContainsAny(s, "*?[") {
		return nil, nil
	}
	if _, err := path.Match(s, ""); err != nil {
		return nil, fmt.Errorf("stream %q is no glob; * stands for any text, ? for one character", s)
	}
	return func(id string) bool {
		ok, _ := path.Match(s, id) // it was checked
		return ok
	}, nil
}

// Subscribed returns the streams that subscriptions of a sink name, in the order
// of known: an id "<connection>.<stream>", a key that only one connection of the
// project has, a glob over ids, or a regular expression (RE2) between slashes that
// a whole id matches. errs has an entry a subscription, nil for one
// that names a stream; a pattern may name none, as it takes later ones.
func Subscribed(subscriptions []string, known []StreamRef) (chosen []StreamRef, errs []error) {
	taken := map[string]bool{}
	for _, s := range subscriptions {
		found, err := subscribed(s, known)
		errs = append(errs, err)
		for _, one := range found {
			taken[one.ID()] = true
		}
	}
	for _, one := range known {
		if taken[one.ID()] {
			chosen = append(chosen, one)
		}
	}
	return chosen, errs
}

func subscribed(s string, known []StreamRef) (found []StreamRef, err error) {
	if matches, err := matcher(s); matches != nil || err != nil {
		for _, one := range known {
			if err == nil && matches(one.ID()) {
				found = append(found, one)
			}
		}
		return found, err
	}
	for _, one := range known {
		keys := append([]string{one.Stream}, one.Former...)
		if slices.ContainsFunc(keys, func(key string) bool { return s == key || s == one.Connection+"."+key }) {
			found = append(found, one)
		}
	}
	if len(found) == 1 {
		return found, nil
	}
	ids := make([]string, 0, len(known))
	for _, one := range known {
		ids = append(ids, one.ID())
	}
	if len(found) > 1 {
		ids = ids[:0]
		for _, one := range found {
			ids = append(ids, one.ID())
		}
		return nil, fmt.Errorf("stream %q is one of several connections: write %s", s, strings.Join(ids, " or "))
	}
	hint := framework.Suggest(s, ids)
	switch {
	case hint != "":
	case len(ids) == 0:
		hint = "; the project has no source with streams"
	default:
		hint = "; there are " + strings.Join(ids[:min(len(ids), shownStreams)], ", ")
		if len(ids) > shownStreams {
			hint += fmt.Sprintf(" and %d more", len(ids)-shownStreams)
		}
	}
	return nil, fmt.Errorf("no connection of the project has a stream %q%s", s, hint)
}

// shownStreams is how many candidates an error names.
const shownStreams = 10

// ruleSubscription is the rule for subscriptions to streams that nobody has, and
// ruleBounds that for the bounds of a sink.
const (
	ruleSubscription = "SC602"
	ruleBounds       = "SC601"
)

// boundSettings are those that ruleBounds is about.
var boundSettings = []string{"timeout_seconds", "batch", "in_flight", "pool"}

// subscriber is a sink whose subscriptions are checked once all streams are known.
type subscriber struct {
	connection *Connection
	at         *yaml.Node
}

// topics reads streams under their other name: a list, or a text with commas.
func (r *reader) topics(into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode {
			r.texts(into, "topics")(n)
			return
		}
		var text string
		r.text(&text, "topics")(n)
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				*into = append(*into, one)
			}
		}
	}
}

// asSink reads what is special to a connection of type sink.
func (r *reader) asSink(c *Connection, at *connectionNodes, plugin framework.Plugin, stream, start string) {
	as, ok := plugin.AsSink()
	if !ok {
		r.problem(at.at(at.kind), "connector %q is no sink; use one that is, such as http", plugin.Key())
		return
	}
	r.sinkStreams(c, at, stream)
	switch sink.Start(start) {
	case "", sink.Earliest, sink.Latest:
		c.Start = sink.Start(start)
	default:
		r.problem(at.at(at.start), "start %q is unknown; use earliest or latest", start)
	}
	if c.Budget != "" || at.rate != nil {
		r.problem(at.at(at.rate), "rate_limit and budget are of sources; a sink has in_flight and order in its config")
	}
	r.settingsOf(c, at, as)
}

// sinkStreams brings the subscriptions together, whatever they are called.
func (r *reader) sinkStreams(c *Connection, at *connectionNodes, stream string) {
	given := 0
	for _, n := range []*yaml.Node{at.stream, at.streams, at.topics} {
		if n != nil {
			given++
		}
	}
	if given > 1 {
		r.problem(at.at(at.streams), "stream, streams and topics are the same of a sink; keep one")
	}
	where := at.streams
	if stream != "" {
		c.Streams, where = append(c.Streams, stream), &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{at.stream}}
	}
	if at.topics != nil {
		where = at.topics
	}
	r.subscribers = append(r.subscribers, subscriber{c, at.at(where)})
	if len(c.Streams) == 0 {
		n := at.whole
		r.warnings = append(r.warnings, Problem{File: r.file, Line: n.Line, Column: n.Column, Message: fmt.Sprintf("connection %q: no streams: the sink delivers nothing until it has some", c.Name)})
	}
}

// settingsOf checks the settings of a sink.
func (r *reader) settingsOf(c *Connection, at *connectionNodes, plugin framework.Plugin) {
	config := at.at(at.config)
	canonical, err := plugin.Canonical(c.Settings)
	if err == nil {
		c.Settings = canonical
		_, err = plugin.Declare(c.Settings)
	}
	r.settingProblems(c, config, plugin, err)
	for _, w := range plugin.Warnings(c.Settings) {
		n := settingNode(config, w.Name)
		p := Problem{File: r.file, Line: n.Line, Column: n.Column, Message: fmt.Sprintf("connection %q: %s", c.Name, w), Rule: w.Rule}
		if p.Rule != "" {
			p.Message = p.Rule + " " + p.Message
		}
		r.warnings = append(r.warnings, p)
	}
}

// ruleOfSetting is the id of the rule that a wrong setting of a sink breaks, or "".
func ruleOfSetting(c *Connection, e *framework.SettingError) string {
	name, _, _ := strings.Cut(e.Name, ".")
	if e.Rule == "" && c.Type == typeSink && slices.Contains(boundSettings, name) {
		return ruleBounds
	}
	return e.Rule
}

// subscriptions checks what sinks subscribe to.
func (r *reader) subscriptions(known func(project string) []StreamRef) {
	for _, s := range r.subscribers {
		_, errs := Subscribed(s.connection.Streams, known(s.connection.Project))
		for i, err := range errs {
			node := s.at
			if node.Kind == yaml.SequenceNode && i < len(node.Content) {
				node = node.Content[i]
			}
			if err != nil && !r.unsure[s.connection.Project] {
				r.problem(node, "%s connection %q: %s%s", ruleSubscription, s.connection.Name, err, r.elsewhere(s.connection, i, known))
				r.problems[len(r.problems)-1].Rule = ruleSubscription
			}
			if slices.Contains(s.connection.Streams[:i], s.connection.Streams[i]) {
				r.problem(node, "stream %q is listed twice", s.connection.Streams[i])
			}
		}
	}
}

// elsewhere is what may be done for a subscription to a stream of a connection that
// stands elsewhere: a file that is read at the start knows of itself alone.
func (r *reader) elsewhere(c *Connection, i int, known func(project string) []StreamRef) string {
	name, stream, ok := strings.Cut(c.Streams[i], ".")
	if r.strict || !ok || slices.ContainsFunc(known(c.Project), func(one StreamRef) bool { return one.Connection == name }) {
		return ""
	}
	if r.part && r.arriving.Streams != nil {
		return fmt.Sprintf("; make connection %q first, or put it into this file", name)
	}
	return fmt.Sprintf("; where connection %q is not in this file, write \"%s.%s*\", which takes later streams too, or apply the sink with weir apply", name, name, stream)
}

// knownTo lists the streams that sinks of a file may subscribe to, by their ids: its
// own, and those that are there where it arrives.
func (r *reader) knownTo(f *File, project string) []StreamRef {
	known := f.streamsOf(project, r.streams)
	if r.arriving.Streams == nil {
		return known
	}
	own := map[string]bool{}
	for _, c := range f.Connections {
		if c.Project == project {
			own[c.Name] = true
		}
	}
	for _, there := range r.arriving.Streams(project) {
		if !own[there.Connection] {
			known = append(known, there)
		}
	}
	return known
}

// streamsOf lists the streams of a project's sources.
func (f *File) streamsOf(project string, streams map[string][]StreamRef) []StreamRef {
	var known []StreamRef
	for _, c := range f.Connections {
		if c.Project == project {
			known = append(known, streams[c.Project+"/"+c.Name]...)
		}
	}
	return known
}
