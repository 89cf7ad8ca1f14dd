package intake

import (
	"strings"

	"github.com/weirhq/weir/catalog"
)

// defaultProject is the project of paths that name none.
const defaultProject = "default"

// splitPath reads /webhooks/{connection}/{path} or
// /p/{project}/webhooks/{connection}/{path}. It reads the path as it was sent,
// before any decoding, and knows one spelling only: an escape, an empty
// segment, dots or a trailing slash make it another path, which nobody has.
func splitPath(escaped string) (project, connection, endpoint string, ok bool) {
	rest, found := strings.CutPrefix(escaped, "/p/")
	project = defaultProject
	if found {
		project, rest, _ = strings.Cut(rest, "/")
		rest = "/" + rest
	} else {
		rest = escaped
	}
	rest, found = strings.CutPrefix(rest, "/webhooks/")
	if !found {
		return "", "", "", false
	}
	connection, endpoint, _ = strings.Cut(rest, "/")
	// Names, ids and paths share one alphabet.
	ok = catalog.ValidPath(project) && catalog.ValidPath(connection) && catalog.ValidPath(endpoint)
	return project, connection, endpoint, ok
}
