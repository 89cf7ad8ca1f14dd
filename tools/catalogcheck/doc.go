// Package catalogcheck proves at build time that a connector serves what its
// catalog declares.
//
// It reads constants and types, and never runs the author's code. One pass over
// a package goes through four stages: the declarations (streams, endpoints and
// connectors), the routes that framework.Define binds to them, what the
// handlers emit, and, where connectors are linked together, whether they get
// along. Each finding has a stable rule id; [Rules] lists them all.
//
// A rule reports only what it can prove. Routes that come from another package,
// for example, are never said to be missing. A package that does not import
// package catalog costs nothing.
//
// There are two drivers over the same analyzers, and they find the same:
// [Check], behind "catalogcheck ./..." and "weir check ./...", and the vet
// protocol, behind "go vet -vettool=$(go tool -n catalogcheck) ./...".
//
// Test files are not checked: a test declares wrong catalogs on purpose.
package catalogcheck
