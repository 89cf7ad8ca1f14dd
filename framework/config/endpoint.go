package config

import (
	"cmp"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/intake"
)

// maxKeepDays is the longest time that every delivery is kept for replay.
const maxKeepDays = 365

// endpoints reads what the operator decides for each webhook endpoint.
func (r *reader) endpoints(into *map[string]intake.Policy) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = plain(n)
		if n.Kind != yaml.MappingNode {
			r.problem(n, "endpoints must be a mapping of the paths of endpoints to their limits")
			return
		}
		*into = map[string]intake.Policy{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			var p intake.Policy
			var rate budget.Rate
			path := n.Content[i].Value
			r.mapping(n.Content[i+1], "endpoint "+strconv.Quote(path), []field{
				{"rate_limit", r.rate(&rate)},
				{"burst", r.between(&p.Burst, "burst", 1, 100_000)},
				{"max_handlers", r.between(&p.MaxHandlers, "max_handlers", 1, 10_000)},
				{"keep_days", func(n *yaml.Node) {
					days := 0
					r.between(&days, "keep_days", 0, maxKeepDays)(n)
					p.Keep = time.Duration(days) * 24 * time.Hour
				}},
				{"content_types", r.mediaTypes(&p.ContentTypes)},
			})
			switch {
			case !rate.IsZero():
				p.RateLimit = float64(rate.Count) / rate.Per.Seconds()
				p.Burst = cmp.Or(p.Burst, rate.Count)
			case p.Burst > 0:
				r.problem(n.Content[i+1], "endpoint %q has burst without rate_limit; set rate_limit, such as 100/min", path)
			}
			(*into)[path] = p
		}
	}
}

// knownEndpoints reports the paths that the connector does not declare.
func (r *reader) knownEndpoints(c *Connection, n *yaml.Node, declared []string) {
	for _, path := range slices.Sorted(maps.Keys(c.Endpoints)) {
		if slices.Contains(declared, path) {
			continue
		}
		hint := framework.Suggest(path, declared)
		switch {
		case len(declared) == 0:
			hint = "; it has none"
		case hint == "":
			hint = "; it has " + strings.Join(declared, ", ")
		}
		r.problem(n, "connection %q: connector %q has no endpoint %q%s", c.Name, c.Connector, path, hint)
	}
}

func (r *reader) between(into *int, name string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
			r.problem(n, "%s: %q is no whole number from %d to %d", name, n.Value, least, most)
			return
		}
		*into = v
	}
}

func (r *reader) mediaTypes(into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.texts(into, "content_types")(n)
		for i, text := range *into {
			media, parameters, err := mime.ParseMediaType(text)
			if err != nil || len(parameters) > 0 || !strings.Contains(media, "/") {
				r.problem(n, "content_types: %q is no media type such as application/json", text)
			}
			(*into)[i] = media
		}
	}
}
