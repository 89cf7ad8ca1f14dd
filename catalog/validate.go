package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog/schedule"
)

// Severity ranks a [Finding].
type Severity string

const (
	// SeverityError findings make the check fail and the runtime refuse to start.
	SeverityError Severity = "error"
	// SeverityWarning findings are shown only.
	SeverityWarning Severity = "warning"
)

// Finding is one thing that is wrong with a catalog. Rule ids are stable and
// the same as those of the static checker.
type Finding struct {
	// Rule is the id, for example "SC201".
	Rule string `json:"rule"`
	// Severity ranks the finding.
	Severity Severity `json:"severity"`
	// Connector is the key of the connector concerned.
	Connector string `json:"connector"`
	// Subject is the stream, endpoint or connector concerned.
	Subject string `json:"subject"`
	// Message states the fact and then what to do.
	Message string `json:"message"`
}

// String formats f on one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s %s", f.Connector, f.Rule, f.Message)
}

// KeyPattern is what stream and connector keys must match.
const KeyPattern = `^[a-z][a-z0-9_]{0,62}$`

// PathPattern is what endpoint paths must match.
const PathPattern = `^[a-z0-9][a-z0-9_-]{0,62}$`

var (
	keyRegexp  = regexp.MustCompile(KeyPattern)
	pathRegexp = regexp.MustCompile(PathPattern)
)

// ReservedKeys may not name a stream.
func ReservedKeys() []string { return []string{"all"} }

// ValidKey reports whether s may be a stream's or connector's key by its form.
func ValidKey(s string) bool { return keyRegexp.MatchString(s) }

// ValidPath reports whether s may be an endpoint's path.
func ValidPath(s string) bool { return pathRegexp.MatchString(s) }

// Validate returns every finding about c that can be decided from its
// declarations, in declaration order. The rules about routes are checked when
// a connection is opened.
func Validate(c Connector) []Finding {
	findings := ValidateManifest(c.Manifest())
	if !c.Dynamic && generatedFor(c.Key) {
		described, ok := Described(c)
		for _, stream := range described.Streams {
			if ok && stream.Description == "" {
				findings = append(findings, Finding{
					Rule: "SC104", Severity: SeverityWarning, Connector: c.Key, Subject: stream.Key,
					Message: fmt.Sprintf("stream %q has no description; say above its variable what its records are", stream.Key),
				})
			}
		}
		for _, action := range described.Actions {
			if ok && action.Description == "" {
				findings = append(findings, Finding{
					Rule: "SC104", Severity: SeverityWarning, Connector: c.Key, Subject: action.Key,
					Message: fmt.Sprintf("action %q has no description; say above its variable what it does", action.Key),
				})
			}
		}
		if !ok {
			findings = append(findings, Finding{
				Rule: "SC504", Severity: SeverityError, Connector: c.Key, Subject: c.Key,
				Message: fmt.Sprintf("generated catalog of %q is out of date; run go generate", c.Key),
			})
		}
	}
	return findings
}

// ValidateManifest returns every finding about m. It serves manifests that
// come from the settings of a connection as well.
func ValidateManifest(m Manifest) []Finding {
	v := &validation{connector: m.Connector}
	if !ValidKey(m.Connector) {
		v.add("SC102", m.Connector, "connector key %q does not match %s; use lower_snake_case of 1 to 63 characters", m.Connector, KeyPattern)
	}
	if m.RateLimit != "" {
		if _, err := ParseRate(m.RateLimit); err != nil {
			v.add("SC117", m.Connector, "rate limit of connector %q: %v", m.Connector, err)
		}
	}
	seen := map[string]bool{}
	webhooks := ""
	for _, s := range m.Streams {
		if s.Mode == ModeWebhook && webhooks == "" {
			webhooks = s.Key
		}
		v.stream(s)
		if seen[s.Key] {
			v.add("SC103", s.Key, "stream key %q is declared twice, and only one can have it; give each stream its own key", s.Key)
		}
		seen[s.Key] = true
	}
	if webhooks != "" && len(m.Endpoints) == 0 {
		v.add("SC301", webhooks, "webhook stream %q can never receive anything: the connector has no endpoint; add one with catalog.Receive to Connector.Endpoints", webhooks)
	}
	v.renames(m.Streams)
	paths := map[string]bool{}
	for _, e := range m.Endpoints {
		v.endpoint(e)
		if paths[e.Path] {
			v.add("SC502", e.Path, "two endpoints share the path %q, so deliveries reach only one; give each its own", e.Path)
		}
		paths[e.Path] = true
	}
	v.actions(m.Actions)
	return v.findings
}

type validation struct {
	connector string
	findings  []Finding
}

func (v *validation) add(rule, subject, format string, args ...any) {
	v.findings = append(v.findings, Finding{
		Rule: rule, Severity: SeverityError, Connector: v.connector, Subject: subject,
		Message: fmt.Sprintf(format, args...),
	})
}

func (v *validation) stream(s StreamManifest) {
	if !ValidKey(s.Key) {
		v.add("SC102", s.Key, "stream key %q does not match %s; use lower_snake_case of 1 to 63 characters", s.Key, KeyPattern)
	} else if slices.Contains(ReservedKeys(), s.Key) {
		v.add("SC108", s.Key, "stream key %q is reserved, it stands for every stream of a connection; choose another", s.Key)
	}
	switch s.Mode {
	case ModeWebhook:
		if s.Schedule != "" {
			v.add("SC107", s.Key, "webhook stream %q has the schedule %q, which nobody keeps; remove it, or make it a poll stream", s.Key, s.Schedule)
		}
	case ModePoll:
		if strings.TrimSpace(s.Schedule) == "" {
			v.add("SC107", s.Key, "poll stream %q has no schedule, so it is never read; set PollSpec.Schedule, for example \"*/15 * * * *\"", s.Key)
			return
		}
		for _, p := range schedule.Check(s.Schedule) {
			severity := SeverityError
			if p.Severity == schedule.Warning {
				severity = SeverityWarning
			}
			v.findings = append(v.findings, Finding{
				Rule: p.Rule, Severity: severity, Connector: v.connector, Subject: s.Key,
				Message: fmt.Sprintf("stream %q: %s", s.Key, p.Message),
			})
		}
	default:
		v.add("SC108", s.Key, "stream %q has the unknown mode %q; use catalog.Poll or catalog.Webhook", s.Key, s.Mode)
	}
}

func (v *validation) endpoint(e EndpointManifest) {
	if !ValidPath(e.Path) {
		v.add("SC102", e.Path, "endpoint path %q does not match %s; use lower case letters, digits, _ and -, at most 63 of them", e.Path, PathPattern)
	}
	for _, problem := range e.Problems() {
		v.add("SC304", e.Path, "endpoint %q %s", e.Path, problem)
	}
}
