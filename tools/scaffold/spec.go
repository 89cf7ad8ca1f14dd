package scaffold

import (
	"errors"
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// connectorSpec is what the templates of a connector are filled with.
type connectorSpec struct {
	Key, Package, Path, Host, Title, Import string
	CursorType                              string
	Streams                                 []streamSpec
	StreamList                              string
	Polls, Webhooks                         bool
	// Cases are the webhook streams that a delivery names, and Default is the
	// one that takes the rest.
	Cases   []streamSpec
	Default *streamSpec
	// Stream is the stream that a template for one stream is about.
	Stream streamSpec
}

type streamSpec struct {
	Key, Name, Words, Singular, Article string
	Record, Fields, Handler             string
	Poll                                bool
}

// taken are the names that a connector's package declares itself.
var taken = []string{"Connector", "Plugin", "Settings", "Inbox"}

// reservedPackages would collide with what the generated files import or are.
var reservedPackages = []string{"all", "catalog", "framework", "ingest", "connectortest", "http", "httptest", "url", "context", "os", "require", "testing", "main", "fmt", "strings"}

// parseSpec reads a connector's name and its list of key:mode pairs, and
// reports everything that is wrong with them.
func parseSpec(name, streams string) (connectorSpec, error) {
	var errs []error
	if !catalog.ValidKey(name) {
		errs = append(errs, fmt.Errorf("connector name %q does not match %s", name, catalog.KeyPattern))
	}
	pkg := strings.ReplaceAll(name, "_", "")
	if token.IsKeyword(pkg) || slices.Contains(reservedPackages, pkg) {
		errs = append(errs, fmt.Errorf("connector name %q cannot be a package name; choose another", name))
	}
	s := connectorSpec{
		Key: name, Package: pkg, Host: strings.ReplaceAll(name, "_", "-"), Title: title(name),
		Path: strings.ReplaceAll(name, "_", "-"), CursorType: "position",
	}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(streams, ",") {
		key, mode, ok := strings.Cut(strings.TrimSpace(pair), ":")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("stream %q has no mode; write it as %s:poll or %s:webhook", key, key, key))
			continue
		case !catalog.ValidKey(key) || slices.Contains(catalog.ReservedKeys(), key):
			errs = append(errs, fmt.Errorf("stream key %q does not match %s, or is reserved", key, catalog.KeyPattern))
			continue
		case mode != string(catalog.ModePoll) && mode != string(catalog.ModeWebhook):
			errs = append(errs, fmt.Errorf("stream %q has the unknown mode %q; use poll or webhook", key, mode))
			continue
		case seen[key]:
			errs = append(errs, fmt.Errorf("stream %q is listed twice", key))
			continue
		}
		seen[key] = true
		s.Streams = append(s.Streams, newStream(key, mode == string(catalog.ModePoll)))
	}
	if err := errors.Join(errs...); err != nil {
		return connectorSpec{}, err
	}
	s.finish()
	return s, nil
}

func newStream(key string, poll bool) streamSpec {
	singular := singularOf(key)
	st := streamSpec{
		Key: key, Poll: poll, Name: camel(key), Words: strings.ReplaceAll(key, "_", " "),
		Singular: singular, Article: "a", Record: camel(singular),
		Fields: lowerCamel(singular) + "Fields", Handler: "emit" + camel(key),
	}
	if strings.ContainsRune("aeiou", rune(singular[0])) {
		st.Article = "an"
	}
	if slices.Contains(taken, st.Name) {
		st.Name += "Stream"
	}
	return st
}

// finish settles what depends on all streams together.
func (s *connectorSpec) finish() {
	var words, names []string
	for _, st := range s.Streams {
		words = append(words, st.Words)
		names = append(names, st.Name)
	}
	for i := range s.Streams {
		st := &s.Streams[i]
		if slices.Contains(names, st.Record) || slices.Contains(taken, st.Record) {
			st.Record = st.Name + "Record"
		}
		if st.Poll {
			s.Polls = true
			continue
		}
		s.Webhooks = true
		if s.Default == nil || st.Key == "events" {
			s.Default = st
		}
	}
	for i := range s.Streams {
		if st := &s.Streams[i]; !st.Poll && st != s.Default {
			s.Cases = append(s.Cases, *st)
		}
	}
	s.StreamList = join(words)
}

func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// singularOf guesses the singular of an English plural in snake case.
func singularOf(key string) string {
	switch {
	case strings.HasSuffix(key, "news"), strings.HasSuffix(key, "series"):
		return key
	case strings.HasSuffix(key, "ies") && len(key) > 4:
		return strings.TrimSuffix(key, "ies") + "y"
	case strings.HasSuffix(key, "sses"), strings.HasSuffix(key, "xes"), strings.HasSuffix(key, "ches"), strings.HasSuffix(key, "shes"):
		return strings.TrimSuffix(key, "es")
	case strings.HasSuffix(key, "s") && !strings.HasSuffix(key, "ss") && !strings.HasSuffix(key, "us") && len(key) > 2:
		return strings.TrimSuffix(strings.TrimSuffix(key, "s"), "_")
	}
	return key
}

func camel(key string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(key, "_") {
		switch part {
		case "":
		case "id", "url", "api":
			b.WriteString(strings.ToUpper(part))
		default:
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

func lowerCamel(key string) string {
	c := camel(key)
	first, rest, found := strings.Cut(key, "_")
	if !found {
		return first
	}
	return first + camel(rest) + c[len(c):]
}

func title(name string) string {
	words := strings.Fields(strings.ReplaceAll(name, "_", " "))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}
