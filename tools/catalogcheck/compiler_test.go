package catalogcheck_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// TestCompilerKeepsTheTypedRules proves the rules whose stage is the compiler:
// the mistake does not type-check, and the same code without it does.
func TestCompilerKeepsTheTypedRules(t *testing.T) {
	t.Parallel()
	imports := frameworkImporter(t)
	const prelude = `package p
import (
	"context"
	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)
type record struct{ ID string }
type other struct{ ID string }
type cursor struct{ Page int }
var Customers = catalog.Poll[record, cursor]("customers", catalog.PollSpec{Schedule: "@hourly"})
var Events = catalog.Webhook[record]("events")
var Inbox = catalog.Receive("inbox", catalog.EndpointSpec{Auth: catalog.AuthGitHub})
var options = ingest.Options{IdempotencyKey: ingest.LatestKey("1")}
func sync[C any](context.Context, framework.SyncRequest[C], *ingest.Buffer) (framework.SyncResult[C], error) {
	return framework.SyncResult[C]{}, nil
}
func receive(context.Context, *framework.Delivery, *ingest.Buffer) error { return nil }
var Reindex = catalog.Action[cursor, record]("reindex")
func act[In, Out any](context.Context, In, framework.Progress) (out Out, err error) { return }
func emit(out *ingest.Buffer) {`
	for _, row := range []struct{ name, good, bad, problem string }{
		{
			"WebhookStreamWithASchedule (SC107)",
			`_ = catalog.Webhook[record]("a")`,
			`_ = catalog.Webhook[record]("a", catalog.PollSpec{Schedule: "@hourly"})`, "cannot use catalog.PollSpec",
		},
		{
			"PollStreamWithoutASpec (SC107)",
			`_ = catalog.Poll[record, cursor]("a", catalog.PollSpec{})`,
			`_ = catalog.Poll[record, cursor]("a")`, "not enough arguments",
		},
		{
			"CursorOfAnotherType (SC205)",
			`_ = framework.Sync(Customers, sync[cursor])`,
			`_ = framework.Sync(Customers, sync[string])`, "does not match",
		},
		{
			"SyncRouteForAWebhookStream (SC205)",
			`_ = framework.Sync(Customers, sync[cursor])`,
			`_ = framework.Sync(Events, sync[cursor])`, "does not match",
		},
		{
			"WebhookHandlerOfAnotherSignature (SC205)",
			`_ = framework.Webhook(Inbox, receive)`,
			`_ = framework.Webhook(Inbox, sync[cursor])`, "cannot use",
		},
		{
			"WebhookRouteForAStream (SC205)",
			`_ = framework.Webhook(Inbox, receive)`,
			`_ = framework.Webhook(Events, receive)`, "cannot use Events",
		},
		{
			"ActionOfAnotherInput (SC205)",
			`_ = framework.Action(Reindex, act[cursor, record])`,
			`_ = framework.Action(Reindex, act[string, record])`, "does not match",
		},
		{
			"ActionOfAnotherOutput (SC205)",
			`_ = framework.Action(Reindex, act[cursor, record])`,
			`_ = framework.Action(Reindex, act[cursor, string])`, "does not match",
		},
		{
			"ActionRouteForAStream (SC205)",
			`_ = framework.Action(Reindex, act[cursor, record])`,
			`_ = framework.Action(Customers, act[cursor, record])`, "does not match",
		},
		{
			"RecordOfAnotherType (SC205)",
			`_ = ingest.Canonical(out, Customers, "customer", record{}, options)`,
			`_ = ingest.Canonical(out, Customers, "customer", other{}, options)`, "does not match",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, typeCheck(t, imports, prelude+row.good+"}"))
			require.ErrorContains(t, typeCheck(t, imports, prelude+row.bad+"}"), row.problem)
		})
	}
}

// frameworkImporter resolves what a connector imports.
func frameworkImporter(t *testing.T) types.Importer {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{
		Context: t.Context(), Dir: repository,
		Mode: packages.NeedName | packages.NeedImports | packages.NeedExportFile | packages.NeedTypes,
	}, "context", "github.com/weirhq/weir/catalog", "github.com/weirhq/weir/framework", "github.com/weirhq/weir/ingest")
	require.NoError(t, err)
	byPath := mapImporter{}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		require.Empty(t, p.Errors)
		byPath[p.PkgPath] = p.Types
	})
	return byPath
}

type mapImporter map[string]*types.Package

func (m mapImporter) Import(path string) (*types.Package, error) {
	if p, ok := m[path]; ok {
		return p, nil
	}
	return importer.Default().Import(path)
}

func typeCheck(t *testing.T, imports types.Importer, source string) error {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
	require.NoError(t, err)
	config := types.Config{Importer: imports}
	_, err = config.Check("p", fset, []*ast.File{file}, nil)
	return err
}
