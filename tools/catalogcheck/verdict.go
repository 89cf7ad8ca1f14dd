package catalogcheck

// verdict is all that the check of one package comes to, in a form that can be
// kept: what it reports, and what others need of it. Names of files are absolute.
type verdict struct {
	Findings []Finding
	// Declared are the facts about its variables, by their names.
	Declared map[string]declared
	// Linked are the connectors that come along with it.
	Linked []linkedConnector
	// Locked is what the lock keeps of its connectors.
	Locked []lockedConnector
	// Links is where it links connectors, or nil.
	Links *Place
}

func newVerdict() *verdict { return &verdict{Declared: map[string]declared{}} }
