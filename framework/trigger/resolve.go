package trigger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework"
)

// Offer is a connection with the keys of the actions that it has.
type Offer struct {
	Connection, Connector string
	Actions               []string
}

// Resolve finds the connection that an action belongs to, among those of a project:
// "connection.action", or "connector.action" where one connection of the connector
// has it. It returns the place of the offer and the action's key.
func Resolve(name string, offered []Offer) (at int, key string, err error) {
	who, key, _ := strings.Cut(name, ".")
	has := func(o Offer) bool { return slices.Contains(o.Actions, key) }
	if i := slices.IndexFunc(offered, func(o Offer) bool { return o.Connection == who }); i >= 0 && has(offered[i]) {
		return i, key, nil
	}
	found := -1
	var ids, all []string
	for i, o := range offered {
		for _, a := range o.Actions {
			all = append(all, o.Connection+"."+a)
		}
		if o.Connector == who && has(o) {
			found, ids = i, append(ids, o.Connection+"."+key)
		}
	}
	switch {
	case len(ids) == 1:
		return found, key, nil
	case len(ids) > 1:
		return 0, "", fmt.Errorf("%s is an action of several connections: write %s", name, strings.Join(ids, " or "))
	}
	hint := framework.Suggest(name, all)
	switch {
	case hint != "":
	case len(all) == 0:
		hint = "; no connection of the project has an action"
	default:
		hint = "; there are " + strings.Join(all[:min(len(all), shownActions)], ", ")
	}
	return 0, "", fmt.Errorf("no connection of the project has the action %s%s", name, hint)
}

// shownActions is how many candidates an error names.
const shownActions = 10
