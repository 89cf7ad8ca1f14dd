package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// routesAnalyzer compares the routes of a package with its catalog, and what
// its handlers emit. Its result is a list of findings.
func routesAnalyzer(declare *analysis.Analyzer) *analysis.Analyzer {
	return &analysis.Analyzer{
		Name:       "routes",
		Doc:        "routes compares the routes and emissions of a connector with its catalog",
		URL:        ruleURL(""),
		Requires:   []*analysis.Analyzer{declare},
		ResultType: reflect.TypeFor[[]finding](),
		Run: func(pass *analysis.Pass) (any, error) {
			m := pass.ResultOf[declare].(*model)
			if m == nil {
				return []finding(nil), nil
			}
			s := &routeStage{model: m}
			s.checkDefinitions()
			s.checkEmissions()
			s.checkDigests()
			s.checkForgotten()
			s.checkUnfilled()
			s.checkGlobals()
			s.checkApart()
			return s.findings, nil
		},
	}
}

// routeStage holds the findings of its own, beside the model it reads.
type routeStage struct {
	*model
	findings []finding
	// built is the SSA form of the package, once a rule asked for it.
	built *flow
}

// report adds a finding, once: a route may be handed out in several ways.
func (s *routeStage) report(f finding) {
	same := func(g finding) bool { return g.rule == f.rule && g.pos == f.pos && g.message == f.message }
	if !slices.ContainsFunc(s.findings, same) {
		s.findings = append(s.findings, f)
	}
}

// route is one call of framework.Sync, framework.Webhook or framework.Action
// that is handed out by open.
type route struct {
	call *ast.CallExpr
	// at is the element of the routes, which is call itself, or leads to it.
	at ast.Node
	// serves is what the route can be bound to; a nil entry is the zero stream.
	serves []*declaration
	known  bool
	branch string
	// sole says that the element can be no other route.
	sole bool
}

// handout is one way out of open that hands out routes.
type handout struct {
	routes []route
	// known says that routes holds all of them.
	known bool
	// at is the expression that is returned.
	at ast.Node
}

func (s *routeStage) checkDefinitions() {
	info := s.pass.TypesInfo
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !calls(info, call, frameworkPath, "Define") {
				return true
			}
			t := s.tracer()
			values, complete := t.origins(of(call.Args[0]))
			if !complete || len(values) != 1 {
				return true
			}
			literal, _ := values[0].expr.(*ast.CompositeLit)
			if c := s.connector(literal); c != nil && !c.dynamic {
				if open, ok := t.function(of(call.Args[1])); ok {
					s.checkOpen(c, open)
				}
			}
			return true
		})
	}
}

// checkOpen checks what open returns for the connector.
func (s *routeStage) checkOpen(c *connector, open function) {
	handouts := s.handouts(open)
	for _, h := range handouts {
		s.checkTwice(h)
		s.checkPlacement(h)
		for _, r := range h.routes {
			s.checkOrphan(c, r)
		}
	}
	s.checkServing(c, handouts)
	s.checkVerification(handouts)
	missing := map[*declaration]bool{}
	for _, h := range handouts {
		if !h.known {
			continue
		}
		for _, l := range c.listings() {
			if l.Kind == webhookStream || missing[l.declaration] || h.serves(l.declaration) {
				continue
			}
			missing[l.declaration] = true
			s.reportMissing(c, l, h, len(handouts) > 1)
		}
	}
}

func (s *routeStage) reportMissing(c *connector, l listing, h handout, several bool) {
	rule, what, fix := "SC201", "no sync route", "framework.Sync"
	switch l.Kind {
	case webhookEndpoint:
		rule, what, fix = "SC302", "no handler", "framework.Webhook"
	case action:
		rule, what, fix = "SC210", "no route", "framework.Action"
	default:
	}
	where := ""
	if several {
		where = fmt.Sprintf(" on the way out of open at line %d", s.pass.Fset.Position(h.at.Pos()).Line)
	}
	f := found(rule, l.place(), "%s has %s%s; add %s(%s, …)", l.label(), what, where, fix, l.refer()).
		with(h.at, "the routes are handed out here").
		with(l.expr, "%s is listed here", l.refer())
	f.fix = s.stubRoute(l, h)
	s.report(f)
}

// serves reports whether a route of h may be bound to d.
func (h handout) serves(d *declaration) bool {
	return slices.ContainsFunc(h.routes, func(r route) bool { return slices.Contains(r.serves, d) })
}

// checkOrphan reports a route for what is not in the connector's catalog.
func (s *routeStage) checkOrphan(c *connector, r route) {
	if !r.known || len(r.serves) == 0 || !c.known() {
		return
	}
	for _, d := range r.serves {
		if d != nil && c.lists(d) {
			return
		}
	}
	at := r.at
	if at == r.call {
		at = r.call.Args[0]
	}
	d := r.serves[0]
	rule, list, maker := "SC202", "Connector.Streams", "Poll"
	what := "sync route for a stream that nobody declared"
	switch _, name := callee(s.pass.TypesInfo, r.call); name {
	case "Webhook":
		rule, list, maker, what = "SC309", "Connector.Endpoints", "Receive", "webhook route for an endpoint that nobody declared"
	case "Action":
		rule, list, maker, what = "SC211", "Connector.Actions", "Action", "action route for an action that nobody declared"
	}
	if d == nil {
		s.report(found(rule, at, "%s; make it with catalog.%s in a package-level variable and list it in %s", what, maker, list))
		return
	}
	f := found(rule, at, "%s is not in this connector's catalog, but has a route; list %s in %s, or remove the route", d.label(), d.refer(), list).
		with(c.at, "the catalog is here")
	if d.at != nil {
		f = f.with(d.at, "%s is declared here", d.refer())
	}
	s.report(f)
}

// checkTwice reports two routes for one declaration that are handed out
// together.
func (s *routeStage) checkTwice(h handout) {
	type place struct {
		d      *declaration
		branch string
	}
	first := map[place]route{}
	for _, r := range h.routes {
		if !r.known || len(r.serves) != 1 || r.serves[0] == nil {
			continue
		}
		key := place{r.serves[0], r.branch}
		before, seen := first[key]
		if !seen {
			first[key] = r
			continue
		}
		what := "sync routes"
		switch key.d.Kind {
		case webhookEndpoint:
			what = "handlers"
		case action:
			what = "routes"
		default:
		}
		s.report(found("SC203", r.at, "%s has two %s, of which one is never called; remove one", key.d.label(), what).with(before.at, "the first is here"))
	}
}

// handouts follows each return statement of open that is not a failure.
func (s *routeStage) handouts(open function) []handout {
	var all []handout
	for _, statement := range open.statements() {
		var list origin
		switch len(statement.Results) {
		case 0:
			id := open.named(0)
			if id == nil {
				continue
			}
			list = origin{id, -1, open.env}
		case 1:
			list = origin{statement.Results[0], 0, open.env}
		default:
			if s.isFailure(statement) {
				continue
			}
			list = origin{statement.Results[0], -1, open.env}
		}
		h := handout{at: statement}
		if len(statement.Results) > 0 {
			h.at = statement.Results[0]
		}
		t := s.tracer()
		entries, known := t.elements(list)
		h.known = known && !s.changedLater(open)
		for _, e := range entries {
			routes, known := s.routesOf(t, e)
			h.routes = append(h.routes, routes...)
			h.known = h.known && known
		}
		if len(h.routes) == 0 && h.known && len(statement.Results) == 2 && !s.pass.TypesInfo.Types[statement.Results[1]].IsNil() {
			continue // nothing but an error
		}
		all = append(all, h)
	}
	return all
}

// changedLater reports whether a closure, which may be deferred, assigns to the
// named result that holds the routes.
func (s *routeStage) changedLater(open function) bool {
	id := open.named(0)
	if id == nil {
		return false
	}
	v, _ := s.pass.TypesInfo.Defs[id].(*types.Var)
	return slices.ContainsFunc(s.uses.sources[v], func(src source) bool {
		return src.closure != nil && src.closure.Body != open.body
	})
}

// isFailure reports whether a return statement surely returns an error.
func (s *routeStage) isFailure(statement *ast.ReturnStmt) bool {
	known := s.pass.TypesInfo.Types
	if known[statement.Results[0]].IsNil() && !known[statement.Results[1]].IsNil() {
		return true
	}
	call, ok := ast.Unparen(statement.Results[1]).(*ast.CallExpr)
	return ok && (calls(s.pass.TypesInfo, call, "fmt", "Errorf") || calls(s.pass.TypesInfo, call, "errors", "New"))
}

// routesOf reads one element of the routes. known is false for a route that
// cannot be read: it may serve anything.
func (s *routeStage) routesOf(t *tracer, e entry) (routes []route, known bool) {
	values, known := t.origins(e.origin)
	for i, v := range values {
		call, ok := v.expr.(*ast.CallExpr)
		if !ok {
			known = false
			continue
		}
		path, name := callee(s.pass.TypesInfo, call)
		if path != frameworkPath || (name != "Sync" && name != "Webhook" && name != "Action") {
			known = false
			continue
		}
		r := route{call: call, at: ast.Unparen(e.expr), branch: e.branch, sole: known && len(values) == 1}
		if len(values) > 1 {
			r.branch = fmt.Sprintf("%s#%d", e.branch, i)
		}
		r.serves, r.known = s.declarationsOf(t, origin{call.Args[0], -1, v.env})
		known = known && r.known
		routes = append(routes, r)
	}
	return routes, known
}
