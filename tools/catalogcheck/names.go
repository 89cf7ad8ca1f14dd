package catalogcheck

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// The packages whose functions and types the rules are about. They are known by
// path and never by the name they are imported under.
const (
	modulePath    = "github.com/weirhq/weir"
	catalogPath   = modulePath + "/catalog"
	ingestPath    = modulePath + "/ingest"
	frameworkPath = modulePath + "/framework"
)

// generatedFile holds the generated manifest in a connector's package.
const generatedFile = "catalog_gen.go"

// ownPackage reports whether path is part of the framework or of its tools.
// Those packages make streams from settings and from what they read, and hold
// no connector of their own.
func ownPackage(path string) bool {
	for _, own := range []string{catalogPath, ingestPath, frameworkPath, modulePath + "/tools"} {
		if path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}

// imports reports whether pkg imports one of the paths itself.
func imports(pkg *types.Package, paths ...string) bool {
	for _, imported := range pkg.Imports() {
		for _, path := range paths {
			if imported.Path() == path {
				return true
			}
		}
	}
	return false
}

// callee returns the path and name of the package-level function that call
// calls, or two empty strings. Type arguments make no difference.
func callee(info *types.Info, call *ast.CallExpr) (path, name string) {
	fn, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return "", ""
	}
	return fn.Pkg().Path(), fn.Name()
}

// calls reports whether call calls the function name of the package at path.
func calls(info *types.Info, call *ast.CallExpr, path, name string) bool {
	p, n := callee(info, call)
	return p == path && n == name
}

// isNamed reports whether t is the named type of the package at path.
func isNamed(t types.Type, path, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return false
	}
	obj := named.Origin().Obj()
	return obj.Name() == name && obj.Pkg() != nil && obj.Pkg().Path() == path
}

// isDeclaring reports whether call makes a stream, an endpoint or an action, and what.
func isDeclaring(info *types.Info, call *ast.CallExpr) (kind declarationKind, ok bool) {
	path, name := callee(info, call)
	if path != catalogPath {
		return 0, false
	}
	switch name {
	case "Poll":
		return pollStream, true
	case "Webhook":
		return webhookStream, true
	case "Receive":
		return webhookEndpoint, true
	case "Action":
		return action, true
	}
	return 0, false
}

// declarationKind is what a call declares.
type declarationKind int

const (
	pollStream declarationKind = iota + 1
	webhookStream
	webhookEndpoint
	action
)

// described is what the comment of a declaration of the kind should say.
func (k declarationKind) described() string {
	if k == action {
		return "what it does"
	}
	return "what its records are"
}

// String names the kind as messages do.
func (k declarationKind) String() string {
	switch k {
	case pollStream:
		return "poll stream"
	case webhookStream:
		return "webhook stream"
	case webhookEndpoint:
		return "endpoint"
	case action:
		return "action"
	}
	return "declaration"
}
