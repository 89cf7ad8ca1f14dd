package catalogcheck

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// checkDeclarations applies the rules about single declarations.
func (m *model) checkDeclarations() {
	dynamic := m.dynamic()
	for _, d := range m.declarations {
		switch {
		case d.inFunction && dynamic:
			continue
		case d.inFunction:
			m.report(found("SC106", d.call, "%s is made while the program runs, so nothing can be proven about it; declare it as a package-level variable", d.label()))
			continue
		case !d.KeyKnown && !dynamic:
			m.report(found("SC101", d.call.Args[0], "%s of %s is not a constant string, so what is stored under it may not be found again; write it out, or use a constant", keyWord(d.Kind), d.label()))
		}
		m.checkConstants(d)
		m.checkCursor(d)
		if !d.KeyKnown {
			continue
		}
		for _, f := range d.validate() {
			at := d.blame(f.Rule)
			wrong := found(f.Rule, at, "%s", f.Message)
			switch f.Rule {
			case "SC102":
				// Nothing is stored under a key that the runtime refuses.
				key := validKey(d.Key)
				taken := slices.ContainsFunc(m.declarations, func(o *declaration) bool { return o != d && validKey(o.Key) == key })
				if d.Kind != webhookEndpoint && key != "" && !taken {
					wrong.fix = fixConstant("rename it to "+key, at, strconv.Quote(key))
				}
			case "SC113":
				wrong.fix = evenStep(at, d.Poll.Schedule)
			case "SC116":
				wrong.fix = fixConstant("write the zone that it has now", at, strconv.Quote("TZ=UTC "+d.Poll.Schedule))
			}
			m.report(wrong)
		}
		if d.Kind != webhookEndpoint && d.Description == "" {
			undescribed := found("SC104", d.at, "%s has no doc comment; say above it %s, for the dashboard", d.label(), d.Kind.described())
			undescribed.fix = d.describe()
			m.report(undescribed)
		}
	}
}

// validKey returns the valid key nearest to key, or "".
func validKey(key string) string {
	var b strings.Builder
	for _, r := range key {
		switch {
		case r >= 'A' && r <= 'Z':
			if s := b.String(); s != "" && s[len(s)-1] != '_' && (s[len(s)-1] < 'A' || s[len(s)-1] > 'Z') {
				b.WriteByte('_')
			}
			b.WriteRune(r)
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	if found := strings.Trim(strings.ToLower(b.String()), "_"); catalog.ValidKey(found) {
		return found
	}
	return ""
}

func keyWord(kind declarationKind) string {
	if kind == webhookEndpoint {
		return "path"
	}
	return "key"
}

// checkConstants reports each part of a spec that cannot be read.
func (m *model) checkConstants(d *declaration) {
	for name, e := range d.fields {
		if !d.unknown[name] {
			continue
		}
		what := name
		if what == "" {
			what = "spec"
		}
		if e == nil {
			e = d.call
		}
		m.report(found("SC101", e, "%s of %s is not constant, so nothing can be proven about it; write it out, or use a constant", what, d.label()))
	}
}

// validate applies the rules that the runtime applies when it starts, save
// those about fields whose value is not known.
func (d *declaration) validate() []catalog.Finding {
	c := catalog.Connector{Key: "connector"}
	switch d.Kind {
	case webhookEndpoint:
		c.Endpoints = []catalog.Endpoint{catalog.Receive(d.Key, d.Endpoint)}
	case action:
		c.Actions = []catalog.Callable{d.callable()}
	default:
		c.Streams = []catalog.Stream{d.stream()}
	}
	var all []catalog.Finding
	for _, f := range catalog.Validate(c) {
		switch {
		case f.Rule == "SC301" || f.Rule == "SC504": // about whole connectors
		case d.unknown[""] && f.Rule != "SC102" && f.Rule != "SC108":
		case (f.Rule == "SC304" || f.Rule == "SC118") && len(d.unknown) > 0:
		case (f.Rule == "SC107" || strings.HasPrefix(f.Rule, "SC11")) && d.unknown["Schedule"]:
		default:
			all = append(all, f)
		}
	}
	return all
}

// blame returns the part of the declaration that a rule is about.
func (d *declaration) blame(rule string) ast.Node {
	field := ""
	switch rule {
	case "SC102", "SC108":
		return d.call.Args[0]
	case "SC304":
		field = "Auth"
	case "SC118":
		field = "Timeout"
		if d.fields[field] == nil || d.Action.Timeout >= 0 && d.Action.Timeout <= catalog.MaxActionTimeout {
			field = "MaxRunning"
		}
	default:
		field = "Schedule"
	}
	if e := d.fields[field]; e != nil {
		return e
	}
	if len(d.call.Args) > 1 {
		return d.call.Args[1]
	}
	return d.call
}

// checkConnectors applies the rules about whole catalogs.
func (m *model) checkConnectors() {
	for _, c := range m.connectors {
		m.checkConnectorKey(c)
		if c.dynamic {
			continue
		}
		m.checkLists(c)
		m.checkDuplicates(c)
		m.checkIntake(c)
	}
	if !m.known() {
		return
	}
	for _, d := range m.declarations {
		listed := slices.ContainsFunc(m.connectors, func(c *connector) bool { return c.lists(d) })
		if listed || d.inFunction {
			continue
		}
		list, index := "Streams", 1
		switch d.Kind {
		case webhookEndpoint:
			list, index = "Endpoints", 2
		case action:
			list, index = "Actions", 6
		default:
		}
		f := found("SC105", d.at, "%s is declared but not listed in Connector.%s, so no connection has it; add %s to the list, or remove the declaration", d.label(), list, d.refer())
		for _, c := range m.connectors {
			f = f.with(c.at, "the catalog is here")
		}
		f.fix = m.list(d, list, index)
		m.report(f)
	}
}

func (m *model) checkConnectorKey(c *connector) {
	at := c.at
	if e, ok := fieldOf(c.literal, "Key", 0); ok {
		at = e
	}
	if !c.keyKnown {
		m.report(found("SC101", at, "key of the connector is not a constant string, so nothing proves that it is the same in the next build; write it out, or use a constant"))
		return
	}
	for _, f := range catalog.ValidateManifest(catalog.Manifest{Connector: c.key, RateLimit: c.rateLimit}) {
		place := at
		if e, ok := fieldOf(c.literal, "RateLimit", 5); ok && f.Rule == "SC117" {
			place = e
		}
		m.report(found(f.Rule, place, "%s", f.Message))
	}
}

// checkLists reports a catalog that cannot be read to its end.
func (m *model) checkLists(c *connector) {
	written := len(m.findings) > 0 && slices.ContainsFunc(m.findings, func(f finding) bool { return f.rule == "SC101" })
	for _, list := range []struct {
		field string
		index int
		known bool
		want  string
	}{
		{"Streams", 1, c.streamsKnown, "a literal of declared stream variables"},
		{"Endpoints", 2, c.endpointsKnown, "a literal of declared endpoint variables"},
		{"Hosts", 3, c.hostsKnown, "a literal of constant strings"},
		{"RateLimit", 5, c.rateKnown, "a constant string"},
		{"Actions", 6, c.actionsKnown, "a literal of declared action variables"},
	} {
		e, ok := fieldOf(c.literal, list.field, list.index)
		if list.known || !ok || written {
			continue
		}
		m.report(found("SC101", e, "Connector.%s cannot be read from the source, so nothing can be proven about it; write it as %s", list.field, list.want))
	}
}

// checkDuplicates reports what is in the catalog twice.
func (m *model) checkDuplicates(c *connector) {
	m.checkKeys(c, c.streams, "stream", "Streams", 1)
	m.checkKeys(c, c.actions, "action", "Actions", 6)
	paths := map[string]listing{}
	for _, l := range c.endpoints {
		first, seen := paths[l.Key]
		switch {
		case !l.KeyKnown:
		case !seen:
			paths[l.Key] = l
		case first.declaration == l.declaration:
			m.report(found("SC502", l.expr, "%s is listed twice in Connector.Endpoints; remove one entry", l.label()).
				with(first.expr, "the first entry is here"))
		default:
			m.report(found("SC502", l.place(), "two endpoints share the path %q, so deliveries reach only one; give each its own", l.Key).
				with(first.place(), "%q is first declared here", l.Key))
		}
	}
}

// checkKeys reports streams or actions that are in the catalog twice.
func (m *model) checkKeys(c *connector, all []listing, what, field string, index int) {
	keys := map[string]listing{}
	for _, l := range all {
		first, seen := keys[l.Key]
		switch {
		case !l.KeyKnown:
		case !seen:
			keys[l.Key] = l
		case first.declaration == l.declaration:
			twice := found("SC105", l.expr, "%s is listed twice in Connector.%s; remove one entry", l.label(), field).
				with(first.expr, "the first entry is here")
			if literal := c.entryList(field, index); literal != nil {
				twice.fix = unlist(literal, l.expr)
			}
			m.report(twice)
		default:
			m.report(found("SC103", l.place(), "%s key %q is declared twice, and only one can have it; give each %s its own key", what, l.Key, what).
				with(first.place(), "%q is first declared here", l.Key))
		}
	}
}

// checkIntake reports webhook streams that nothing can reach.
func (m *model) checkIntake(c *connector) {
	if !c.endpointsKnown || len(c.endpoints) > 0 {
		return
	}
	for _, l := range c.streams {
		if l.Kind == webhookStream {
			m.report(found("SC301", l.place(), "%s can never receive anything: the connector has no endpoint; declare one with catalog.Receive and add it to Connector.Endpoints", l.label()).
				with(c.at, "the catalog is here"))
		}
	}
}
