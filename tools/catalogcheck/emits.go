package catalogcheck

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// checkEmissions checks each call that records an event.
func (s *routeStage) checkEmissions() {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s.isEmission(call) {
				s.checkTarget(call)
				s.checkKey(call)
				s.checkConstantKey(call)
			}
			if path, name := callee(s.pass.TypesInfo, call); path == ingestPath && (name == "EventKey" || name == "VersionKey" || name == "LatestKey") {
				s.checkUnstableKey(call)
			}
			return true
		})
	}
}

// checkTarget reports an emission to a stream that this package's catalogs do
// not have. A stream that is declared here and only not listed is reported
// where it is declared.
func (s *routeStage) checkTarget(call *ast.CallExpr) {
	if !s.known() {
		return
	}
	targets, known := s.declarationsOf(s.tracer(), of(call.Args[1]))
	if !known || len(targets) == 0 {
		return
	}
	for _, d := range targets {
		if d == nil {
			continue
		}
		if d.call != nil && !d.inFunction || slices.ContainsFunc(s.connectors, func(c *connector) bool { return c.lists(d) }) {
			return
		}
	}
	f := found("SC401", call.Args[1], "the event goes to a stream that nobody declared, so the page fails when it runs; emit to a stream of Connector.Streams")
	if d := targets[0]; d != nil {
		f = found("SC401", call.Args[1], "the event goes to %s, which is not a stream of this connector, so the page fails when it runs; emit to a stream of Connector.Streams", d.label())
	}
	for _, c := range s.connectors {
		f = f.with(c.at, "the catalog is here")
	}
	s.report(f)
}

// checkKey reports an emission whose idempotency key is provably empty.
func (s *routeStage) checkKey(call *ast.CallExpr) {
	options := call.Args[len(call.Args)-1]
	t := s.tracer()
	values, known := s.optionsOf(t, options)
	if !known || len(values) == 0 {
		return
	}
	reason, at := "", ast.Node(options)
	for _, v := range values {
		why, node := s.emptyKey(t, v)
		if why == "" {
			return
		}
		reason = why
		if node != nil {
			at = node
		}
	}
	if len(values) > 1 {
		at = options
	}
	s.report(found("SC402", at, "%s; set Options.IdempotencyKey with ingest.VersionKey, ingest.LatestKey or ingest.EventKey", reason))
}

// optionsOf traces the options of an emission. A variable of which other fields
// than the key are set one by one is traced to what it began as.
func (s *routeStage) optionsOf(t *tracer, options ast.Expr) ([]origin, bool) {
	id, ok := ast.Unparen(options).(*ast.Ident)
	if !ok {
		return t.origins(of(options))
	}
	v, ok := s.pass.TypesInfo.Uses[id].(*types.Var)
	if _, set := s.uses.writes[v]["IdempotencyKey"]; !ok || !s.uses.local(v) || !s.uses.opaque[v] || s.uses.hidden[v] || set {
		return t.origins(of(options))
	}
	var found []origin
	for _, source := range s.uses.sources[v] {
		if source.kind != wholeValue {
			return nil, false
		}
		more, known := t.origins(origin{source.expr, source.result, nil})
		if !known {
			return nil, false
		}
		found = append(found, more...)
	}
	return found, true
}

// emptyKey says why options have no usable key, or "" when they may have one.
func (s *routeStage) emptyKey(t *tracer, options origin) (why string, at ast.Node) {
	const missing = "the event has no idempotency key"
	if options.expr == nil {
		return missing, nil
	}
	literal, ok := options.expr.(*ast.CompositeLit)
	if !ok {
		return "", nil
	}
	e, ok := fieldOf(literal, "IdempotencyKey", 0)
	if !ok {
		return missing, literal
	}
	keys, known := t.origins(origin{e, -1, options.env})
	if !known || len(keys) == 0 {
		return "", nil
	}
	for _, key := range keys {
		switch k := key.expr.(type) {
		case nil:
			why = missing
		case *ast.CompositeLit:
			if len(k.Elts) > 0 {
				return "", nil
			}
			why = missing
		case *ast.CallExpr:
			if why = s.emptyPart(k); why == "" {
				return "", nil
			}
		default:
			return "", nil
		}
	}
	return why, e
}

// emptyPart says which part of a made key is the empty constant.
func (s *routeStage) emptyPart(call *ast.CallExpr) string {
	path, name := callee(s.pass.TypesInfo, call)
	if path != ingestPath || !strings.HasSuffix(name, "Key") {
		return ""
	}
	for i, arg := range call.Args {
		if value, ok := text(s.pass.TypesInfo, arg); ok && value == "" {
			if i > 0 {
				return "the event's idempotency key has an empty version"
			}
			return "the event's idempotency key is empty"
		}
	}
	return ""
}

// checkConstantKey reports a key that is the same for every record, so that all
// but the first are taken for duplicates. A constant LatestKey is not one: it
// names the one entity of its kind, whose versions the payload tells apart.
func (s *routeStage) checkConstantKey(call *ast.CallExpr) {
	t := s.tracer()
	options, known := t.origins(of(call.Args[len(call.Args)-1]))
	if !known || len(options) != 1 {
		return
	}
	literal, ok := options[0].expr.(*ast.CompositeLit)
	if !ok {
		return
	}
	e, ok := fieldOf(literal, "IdempotencyKey", 0)
	if !ok {
		return
	}
	keys, known := t.origins(origin{e, -1, options[0].env})
	if !known || len(keys) != 1 {
		return
	}
	key, ok := keys[0].expr.(*ast.CallExpr)
	if !ok {
		return
	}
	if path, name := callee(s.pass.TypesInfo, key); path != ingestPath || (name != "EventKey" && name != "VersionKey") {
		return
	}
	for _, arg := range key.Args {
		values, known := t.origins(origin{arg, -1, keys[0].env})
		if !known || len(values) != 1 || values[0].expr == nil {
			return
		}
		if value, ok := text(s.pass.TypesInfo, values[0].expr); !ok || value == "" {
			return
		}
	}
	s.report(found("SC403", e, "the idempotency key is the same for every record, so only the first is recorded; make it of the record's id and version").
		with(call, "the event is emitted here"))
}
