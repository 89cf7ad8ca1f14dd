package config

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework"
)

// Edit is how a machine mends a problem: other text for a value.
type Edit struct {
	// Line and Column are where the value begins, counted from 1, Old is the text
	// that stands there and New the one that is to stand there.
	Line, Column int
	Old, New     string
}

// Mend carries out the edits of problems on the content of a file and returns what
// it is then, and how many were made. It fails when the content is another one than
// that of the problems.
func Mend(content []byte, problems Problems) (mended []byte, edits int, err error) {
	var all []*Edit
	for _, p := range problems {
		if p.Edit != nil {
			all = append(all, p.Edit)
		}
	}
	// From the end, so that the places of the others stay.
	slices.SortFunc(all, func(a, b *Edit) int { return -slices.Compare([]int{a.Line, a.Column}, []int{b.Line, b.Column}) })
	lines := bytes.SplitAfter(bytes.Clone(content), []byte("\n"))
	for _, e := range all {
		if e.Line > len(lines) {
			return nil, 0, fmt.Errorf("line %d is not there any more", e.Line)
		}
		line := []rune(string(lines[e.Line-1])) // columns count characters
		from, old := e.Column-1, []rune(e.Old)
		if from < 0 || from+len(old) > len(line) || string(line[from:from+len(old)]) != e.Old {
			return nil, 0, fmt.Errorf("line %d does not say %q any more", e.Line, e.Old)
		}
		lines[e.Line-1] = []byte(string(slices.Concat(line[:from], []rune(e.New), line[from+len(old):])))
	}
	return bytes.Join(lines, nil), len(all), nil
}

// toDefault gives a setting its default, or nil where that cannot be written for it.
func toDefault(config *yaml.Node, name string, settings []framework.Setting) *Edit {
	value := settingValue(config, settingNode(config, name))
	if value == nil || value.Kind != yaml.ScalarNode || value.Style != 0 || value.Anchor != "" {
		return nil
	}
	var found framework.Setting
	for _, step := range framework.SplitPath(name) {
		i := slices.IndexFunc(settings, func(s framework.Setting) bool { return s.Name == step })
		if i < 0 {
			return nil
		}
		found, settings = settings[i], settings[i].Fields
	}
	if found.Default == nil {
		return nil
	}
	return &Edit{value.Line, value.Column, value.Value, string(found.Default)}
}

// settingValue is the value of a key below n.
func settingValue(n, key *yaml.Node) *yaml.Node {
	for i, one := range n.Content {
		if one == key && n.Kind == yaml.MappingNode && i%2 == 0 && i+1 < len(n.Content) {
			return n.Content[i+1]
		}
		if found := settingValue(one, key); found != nil {
			return found
		}
	}
	return nil
}
