package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"

	"github.com/weirhq/weir/catalog"
)

// declaration is a stream, endpoint or action as its source declares it.
type declaration struct {
	// declared is what other packages may know of it.
	declared
	// name is the variable or field that holds it, as the author reads it.
	name string
	// call is the declaring call, and nil for a declaration of another package.
	call *ast.CallExpr
	// at is what findings about the whole declaration point to: the name.
	at ast.Node
	// doc is where a comment of it goes that does not go before its name.
	doc token.Pos
	// inFunction says that the call is made while the program runs.
	inFunction bool
	// fields holds the expressions of the spec's fields by their names.
	fields map[string]ast.Expr
	// unknown holds the names of fields that are not constant.
	unknown map[string]bool
}

// declared is the fact that one package exports about a variable of its own, so
// that a connector of another package may list it.
type declared struct {
	Kind     declarationKind
	Key      string
	KeyKnown bool
	// SpecKnown says that every field of the spec is constant.
	SpecKnown   bool
	Poll        catalog.PollSpec
	Endpoint    catalog.EndpointSpec
	Action      catalog.ActionSpec
	Description string
}

// AFact marks declared as a fact of go/analysis.
func (*declared) AFact() {}

// String describes the fact in tests of the analyzers.
func (d *declared) String() string { return fmt.Sprintf("%s %q", d.Kind, d.Key) }

// complete reports whether everything about the declaration is constant.
func (d *declaration) complete() bool { return d.KeyKnown && d.SpecKnown }

// label names the declaration in a message: its key, or else its variable.
func (d *declaration) label() string {
	if d.KeyKnown {
		return fmt.Sprintf("%s %q", d.Kind, d.Key)
	}
	if d.name != "" {
		return fmt.Sprintf("%s %s", d.Kind, d.name)
	}
	return d.Kind.String()
}

// refer is how the author's code names the declaration.
func (d *declaration) refer() string {
	if d.name != "" {
		return d.name
	}
	return "it"
}

// stream rebuilds the stream from the constants. Its Go types do not matter to
// the manifest.
func (d *declaration) stream() catalog.Stream {
	if d.Kind == webhookStream {
		return catalog.Webhook[struct{}](d.Key, catalog.WebhookSpec{RenamedFrom: d.Poll.RenamedFrom, FormerKeys: d.Poll.FormerKeys})
	}
	return catalog.Poll[struct{}, struct{}](d.Key, d.Poll)
}

// callable rebuilds the action in the same way.
func (d *declaration) callable() catalog.Callable {
	return catalog.Action[struct{}, struct{}](d.Key, d.Action)
}

// listing is one entry of Connector.Streams, Connector.Endpoints or Connector.Actions.
type listing struct {
	*declaration
	expr ast.Expr
}

// place is where a finding about the listed declaration points to: its own
// name when it is of this package, else the entry.
func (l listing) place() ast.Node {
	if l.at != nil {
		return l.at
	}
	return l.expr
}

// connector is a catalog.Connector literal.
type connector struct {
	literal *ast.CompositeLit
	// at is the variable's name, or else the literal.
	at             ast.Node
	key            string
	keyKnown       bool
	streams        []listing
	streamsKnown   bool
	endpoints      []listing
	endpointsKnown bool
	actions        []listing
	actionsKnown   bool
	hosts          []string
	hostsKnown     bool
	rateLimit      string
	rateKnown      bool
	dynamic        bool
}

// lists reports whether the connector's catalog has d in it.
func (c *connector) lists(d *declaration) bool {
	return slices.ContainsFunc(c.listings(), func(l listing) bool { return l.declaration == d })
}

// listings are all entries of the catalog.
func (c *connector) listings() []listing { return slices.Concat(c.streams, c.endpoints, c.actions) }

// known reports whether every entry of the catalog could be read.
func (c *connector) known() bool { return c.streamsKnown && c.endpointsKnown && c.actionsKnown }

// complete reports whether the manifest can be written from the source.
func (c *connector) complete() bool {
	if !c.keyKnown || !c.hostsKnown || !c.rateKnown || !c.known() {
		return false
	}
	return !slices.ContainsFunc(c.listings(), func(l listing) bool { return !l.complete() })
}

// model is what the first stage learns about a package.
type model struct {
	pass         *analysis.Pass
	files        []*ast.File
	uses         *usage
	declarations []*declaration
	byCall       map[*ast.CallExpr]*declaration
	imported     map[types.Object]*declaration
	connectors   []*connector
	findings     []finding
}

// dynamic reports whether a connector of the package takes its streams from the
// settings of a connection.
func (m *model) dynamic() bool {
	for _, c := range m.connectors {
		if c.dynamic {
			return true
		}
	}
	return false
}

// known reports whether the catalogs of the package could be read to the end,
// so that what is not in them is provably missing.
func (m *model) known() bool {
	for _, c := range m.connectors {
		if !c.known() {
			return false
		}
	}
	return len(m.connectors) > 0 && !m.dynamic()
}

func (m *model) tracer() *tracer { return newTracer(m.pass.TypesInfo, m.uses) }

// finding is a Finding before its place is made relative.
type finding struct {
	rule     string
	pos, end token.Pos
	message  string
	related  []analysis.RelatedInformation
	// severity is what the finding has where it differs from its rule's.
	severity catalog.Severity
	// fix is nil where no machine can mend it.
	fix *fix
}

// rank returns how bad the finding is.
func (f finding) rank() catalog.Severity {
	if f.severity != "" {
		return f.severity
	}
	return severityOf(f.rule)
}

// found returns a finding about n.
func found(rule string, n ast.Node, format string, args ...any) finding {
	return finding{rule: rule, pos: n.Pos(), end: n.End(), message: fmt.Sprintf(format, args...)}
}

// with returns f with one more place that explains it.
func (f finding) with(n ast.Node, format string, args ...any) finding {
	if n != nil && n.Pos().IsValid() {
		f.related = append(f.related, analysis.RelatedInformation{
			Pos: n.Pos(), End: n.End(), Message: fmt.Sprintf(format, args...),
		})
	}
	return f
}

func (m *model) report(f finding) { m.findings = append(m.findings, f) }
