package catalogcheck

import (
	"go/ast"

	"github.com/weirhq/weir/catalog"
)

// checkRenames reports streams whose RenamedFrom or FormerKeys cannot be what they had before.
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
			for _, field := range []string{"FormerKeys", "RenamedFrom"} {
				if e := l.fields[field]; e != nil {
					at = ast.Node(e)
				}
			}
			m.report(found(rule, at, "%s", why))
		}
	}
}
