package runtime

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
)

// CatalogError lists the findings for which a start is refused.
type CatalogError struct{ Findings []catalog.Finding }

// Error lists every finding, one a line.
func (e *CatalogError) Error() string {
	lines := make([]string, len(e.Findings), len(e.Findings)+1)
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(append(lines, "mend the catalog, and prove it with: weir check ./..."), "\n")
}

// checkCatalogs validates every linked catalog. Warnings go to the log.
func checkCatalogs(plugins []framework.Plugin, log *slog.Logger) error {
	var failed []catalog.Finding
	seen := map[string]bool{}
	for _, p := range plugins {
		if seen[p.Key()] {
			failed = append(failed, catalog.Finding{
				Rule: "SC501", Severity: catalog.SeverityError, Connector: p.Key(), Subject: p.Key(),
				Message: fmt.Sprintf("two linked connectors have the key %q; rename one", p.Key()),
			})
		}
		seen[p.Key()] = true
		for _, f := range catalog.Validate(p.Connector()) {
			if f.Severity == catalog.SeverityError {
				failed = append(failed, f)
				continue
			}
			log.Warn("catalog", "connector", f.Connector, "rule", f.Rule, "finding", f.Message)
		}
	}
	if len(failed) > 0 {
		return &CatalogError{failed}
	}
	return nil
}
