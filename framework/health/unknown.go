package health

import (
	"fmt"
	"strconv"

	"github.com/weirhq/weir/framework"
)

// DefaultProject is the project that exists from the start.
const DefaultProject = "default"

// UnknownError says that nothing has the given name.
type UnknownError struct {
	// Kind is "project", "connection", "stream" or "run".
	Kind string
	// Name is what was asked for.
	Name string
	// Within says where it was looked for, for example `project "default"`, or "".
	Within string
	// Hint names the nearest known name, or is "".
	Hint string
}

// Error names the thing, where it was looked for, and the nearest known name.
func (e *UnknownError) Error() string {
	within := ""
	if e.Within != "" {
		within = " in " + e.Within
	}
	return fmt.Sprintf("no %s %s%s%s", e.Kind, quote(e.Name), within, e.Hint)
}

func unknown(kind, name, within string, known []string) *UnknownError {
	return &UnknownError{Kind: kind, Name: clip(name), Within: within, Hint: framework.Suggest(name, known)}
}

// NewUnknownRun returns the error for a run that does not exist in a project.
func NewUnknownRun(project, id string) *UnknownError {
	return unknown("run", id, "project "+quote(project), nil)
}

// clip bounds a name that came from outside before it is said back.
func clip(name string) string {
	const limit = 128
	if len(name) <= limit {
		return name
	}
	return name[:limit] + "…"
}

// quote keeps control characters of a name out of terminals and logs.
func quote(s string) string { return strconv.QuoteToGraphic(s) }
