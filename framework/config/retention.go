package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework/store"
)

// maxAge is the longest time that can be written: a thousand years is a mistake.
const maxAge = 100 * 365 * 24 * time.Hour

// retention reads what is kept. Keys that are not there stay as they are in into.
func (r *reader) retention(into *store.Retention) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.mapping(n, "retention", []field{
			{"events_age", r.age(&into.EventAge, "events_age")},
			{"events_count", r.kept(&into.EventCount, "events_count")},
			{"keys_age", r.age(&into.KeyAge, "keys_age")},
			{"runs_age", r.age(&into.RunAge, "runs_age")},
			{"hourly_age", r.age(&into.HourlyAge, "hourly_age")},
			{"dead_letters_age", r.age(&into.DeadLetterAge, "dead_letters_age")},
		})
		if err := into.Check(); err != nil {
			r.problem(n, "retention: %s", err)
		}
	}
}

// forever keeps what it stands for.
const forever = "forever"

func (r *reader) age(into *time.Duration, name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := parseAge(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			r.problem(n, "%s: %q is no age such as 90d, 36h or %s", name, n.Value, forever)
			return
		}
		*into = d
	}
}

// parseAge reads days, which people keep things in, beside Go's durations. An
// age below an hour would remove what nobody has read yet.
func parseAge(text string) (time.Duration, error) {
	if text == forever {
		return 0, nil
	}
	var d time.Duration
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil {
			return 0, err
		}
		d = time.Duration(min(n, uint64(2*maxAge/(24*time.Hour)))) * 24 * time.Hour
	} else {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return 0, err
		}
	}
	if d < time.Hour || d > maxAge {
		return 0, fmt.Errorf("%s is not from 1h to %dd", text, maxAge/(24*time.Hour))
	}
	return d, nil
}

func (r *reader) kept(into *int64, name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Value == forever {
			*into = 0
			return
		}
		v, err := strconv.ParseInt(n.Value, 10, 64)
		if n.Kind != yaml.ScalarNode || err != nil || v < 1 {
			r.problem(n, "%s: %q is no number of events, at least 1, or %s", name, n.Value, forever)
			return
		}
		*into = v
	}
}
