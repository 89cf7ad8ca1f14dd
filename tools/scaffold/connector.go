package scaffold

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
)

// New writes the connector name into the module that dir lies in and links it.
// streams is a list such as "customers:poll,events:webhook". It returns the
// connector's folder and the files written, relative to the module's root.
func New(dir, name, streams string) (folder string, written []string, err error) {
	module, err := FindModule(dir)
	if err != nil {
		return "", nil, err
	}
	spec, err := parseSpec(name, streams)
	if err != nil {
		return "", nil, err
	}
	spec.Import = path.Join(module.Path, "connectors", spec.Package)
	folder = filepath.Join(module.Dir, "connectors", spec.Package)
	all, err := connectorFiles(folder, spec)
	if err != nil {
		return "", nil, err
	}
	if err := writeAll(all); err != nil {
		return "", nil, err
	}
	if _, err := Link(module.Dir); err != nil {
		return "", nil, err
	}
	return folder, relative(module.Dir, all), nil
}

func connectorFiles(folder string, spec connectorSpec) ([]file, error) {
	var all []file
	add := func(template, name string) error {
		content, err := render(template, spec)
		all = append(all, file{filepath.Join(folder, name), content})
		return err
	}
	if err := add("connector.go.tmpl", spec.Package+".go"); err != nil {
		return nil, err
	}
	if spec.Polls {
		if err := add("page.go.tmpl", "page.go"); err != nil {
			return nil, err
		}
	}
	if spec.Webhooks {
		if err := add("webhook.go.tmpl", "webhook.go"); err != nil {
			return nil, err
		}
	}
	if err := add("test.go.tmpl", spec.Package+"_test.go"); err != nil {
		return nil, err
	}
	for _, s := range spec.Streams {
		spec.Stream = s
		if s.Poll {
			if err := add("sync.go.tmpl", "sync_"+s.Key+".go"); err != nil {
				return nil, err
			}
		}
		fixtures, err := fixtures(folder, s)
		if err != nil {
			return nil, err
		}
		all = append(all, fixtures...)
	}
	return all, nil
}

// fixtures are what a provider would send: two pages of a list, or a delivery.
func fixtures(folder string, s streamSpec) ([]file, error) {
	record := func(n int) map[string]any {
		return map[string]any{"id": fmt.Sprintf("%s_%d", s.Singular, n), "updated_at": fmt.Sprintf("2026-01-0%dT00:00:00Z", n)}
	}
	type document struct {
		name    string
		content any
	}
	documents := []document{{s.Key + ".json", map[string]any{"id": s.Singular + "_1", "type": s.Singular}}}
	if s.Poll {
		documents = []document{
			{s.Key + "_1.json", map[string]any{"data": []any{record(1), record(2)}, "next": "2"}},
			{s.Key + "_2.json", map[string]any{"data": []any{record(3)}, "next": ""}},
		}
	}
	var all []file
	for _, d := range documents {
		content, err := json.MarshalIndent(d.content, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encode fixture: %w", err)
		}
		all = append(all, file{filepath.Join(folder, "testdata", d.name), append(content, '\n')})
	}
	return all, nil
}
