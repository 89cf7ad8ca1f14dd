package catalogcheck

import (
	"cmp"
	"go/ast"

	"github.com/weirhq/weir/catalog"
)

// checkRenames reports streams whose RenamedFrom cannot be what they had before.
func (m *model) checkRenames() {
	for _, c := range m.connectors {
		if !c.complete() {
			continue
		}
		streams := m.manifest(c).Streams
		for i, l := range c.streams {
			rule, why := catalog.RenameFault(streams[i], streams)
			if rule == "" {
				continue
			}
			at := l.place()
			if e := l.fields["RenamedFrom"]; e != nil {
				at = cmp.Or(ast.Node(e), at)
			}
			m.report(found(rule, at, "%s", why))
		}
	}
}
