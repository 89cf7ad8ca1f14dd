package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/trigger"
)

// typeTrigger is the type of a connection that starts actions, triggerClass what
// it is called where a connector is asked for.
const (
	typeTrigger  = trigger.Type
	triggerClass = "http"
)

// ruleAction is the rule for triggers that name what nobody has, ruleTwice that for
// two triggers of one address.
const (
	ruleAction = "SC604"
	ruleTwice  = "SC605"
)

// triggering is a trigger whose action is looked for once all connections are known.
type triggering struct {
	name, project string
	settings      trigger.Settings
	config        *yaml.Node
}

// asTrigger reads what is special to a connection of type trigger.
func (r *reader) asTrigger(c *Connection, at *connectionNodes) {
	if c.Connector == "" {
		c.Connector = triggerClass
	} else if c.Connector != triggerClass {
		r.problem(at.at(at.connector), "a trigger has no connector %q; leave class and connector out, and name the action in config", c.Connector)
	}
	for _, n := range []*yaml.Node{at.stream, at.streams, at.topics, at.start, at.rate, at.endpoints} {
		if n != nil {
			r.problem(n, "a trigger has no streams, start, rate_limit or endpoints of its own; what it needs stands in config")
		}
	}
	config := at.at(at.config)
	before := len(r.problems)
	r.settingsOf(c, at, trigger.Plugin)
	declared, err := trigger.Plugin.Declare(c.Settings)
	if err != nil || len(r.problems) > before {
		return
	}
	for _, e := range declared.Endpoints {
		r.endpointSecret(c, e, config)
	}
	settings, err := framework.DecodeSettings[trigger.Settings](c.Settings)
	if err != nil {
		return // settingsOf has reported it
	}
	key := c.Project + "/" + c.Name
	for _, s := range declared.Manifest().Streams {
		r.streams[key] = append(r.streams[key], StreamRef{Connection: c.Name, Stream: s.Key})
	}
	r.triggers = append(r.triggers, triggering{c.Name, c.Project, settings, config})
}

// triggerActions checks what the triggers of a file name.
func (r *reader) triggerActions(f *File, plugins []framework.Plugin) {
	for i, t := range r.triggers {
		if err := t.check(f, plugins, r.streams); err != nil {
			r.rule(ruleAction, settingNode(t.config, err.Name), "connection %q: %s", t.name, err)
		}
		for _, other := range r.triggers[:i] {
			same := other.project == t.project && other.settings.Path == t.settings.Path
			if same && (other.settings.Method == t.settings.Method || other.settings.Method == trigger.AnyMethod || t.settings.Method == trigger.AnyMethod) {
				r.rule(ruleTwice, settingNode(t.config, "path"), "connection %q: %s %s is the address of connection %q too; choose another path or method",
					t.name, t.settings.Method, t.settings.Path, other.name)
			}
		}
	}
}

// rule reports the break of a rule.
func (r *reader) rule(rule string, n *yaml.Node, format string, args ...any) {
	before := len(r.problems)
	r.problem(n, rule+" "+format, args...)
	if len(r.problems) > before {
		r.problems[before].Rule = rule
	}
}

// check finds what a trigger names among the connections of its project.
func (t triggering) check(f *File, plugins []framework.Plugin, streams map[string][]StreamRef) *framework.SettingError {
	wrong := func(name, format string, args ...any) *framework.SettingError {
		return &framework.SettingError{Name: name, Reason: fmt.Sprintf(format, args...)}
	}
	switch t.settings.Action {
	case trigger.ActionIngest:
		return nil
	case trigger.ActionSync, trigger.ActionBackfill:
		connection, stream, one := strings.Cut(t.settings.Target, ".")
		if !one && t.settings.Action == trigger.ActionBackfill {
			return wrong("target", "names a connection; a backfill reads one stream: write %s.stream", connection)
		}
		i := slices.IndexFunc(f.Connections, func(c Connection) bool { return c.Project == t.project && c.Name == connection && c.Type == typeSource })
		if i < 0 {
			return wrong("target", "names no source of the project: there is no %q", connection)
		}
		known := streams[t.project+"/"+connection]
		if one && len(known) > 0 && !slices.ContainsFunc(known, func(s StreamRef) bool { return s.Stream == stream }) {
			ids := make([]string, len(known))
			for i, s := range known {
				ids[i] = s.ID()
			}
			hint := framework.Suggest(t.settings.Target, ids)
			if hint == "" {
				hint = "; there are " + strings.Join(ids, ", ")
			}
			return wrong("target", "names no stream%s", hint)
		}
		return t.readable(f.Connections[i], plugins, stream)
	case trigger.ActionRedeliver:
		if !slices.ContainsFunc(f.Connections, func(c Connection) bool {
			return c.Project == t.project && c.Name == t.settings.Target && c.Type == typeSink
		}) {
			return wrong("target", "names no sink of the project")
		}
		return nil
	}
	var offered []trigger.Offer
	for _, c := range f.Connections {
		if c.Project != t.project || c.Type != typeSource {
			continue
		}
		if i := slices.IndexFunc(plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector }); i >= 0 {
			offer := trigger.Offer{Connection: c.Name, Connector: c.Connector}
			for _, a := range plugins[i].Connector().Actions {
				offer.Actions = append(offer.Actions, a.Key())
			}
			offered = append(offered, offer)
		}
	}
	if _, _, err := trigger.Resolve(t.settings.Action, offered); err != nil {
		return wrong("action", "%s", err)
	}
	return nil
}

// readable finds that the target of a sync or a backfill is nothing that can be
// read, or not by range. What declares no streams here has been reported.
func (t triggering) readable(c Connection, plugins []framework.Plugin, only string) *framework.SettingError {
	i := slices.IndexFunc(plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector })
	if i < 0 {
		return nil
	}
	declared, err := plugins[i].Declare(c.Settings)
	if err != nil {
		return nil
	}
	streams := slices.DeleteFunc(declared.Manifest().Streams, func(s catalog.StreamManifest) bool {
		return only != "" && s.Key != only || len(c.Streams) > 0 && !slices.Contains(c.Streams, s.Key)
	})
	polls := slices.DeleteFunc(slices.Clone(streams), func(s catalog.StreamManifest) bool { return s.Mode != catalog.ModePoll })
	switch {
	case len(streams) > 0 && len(polls) == 0:
		return &framework.SettingError{Name: "target", Reason: "has only what webhooks bring; there is nothing to read"}
	case t.settings.Action == trigger.ActionBackfill && slices.ContainsFunc(polls, func(s catalog.StreamManifest) bool { return !s.Backfill }):
		return &framework.SettingError{Name: "target", Reason: fmt.Sprintf(
			"cannot be asked for a range: the sync route of stream %q reads neither from nor to (backfill: false in the catalog)", only)}
	}
	return nil
}
