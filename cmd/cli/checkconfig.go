package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/tools/scaffold"
)

// defaultConfig is the configuration file that commands look for.
const defaultConfig = "weir.yaml"

// configOnly reports whether the working folder is no Go module but has a
// configuration file, which is then what can be checked.
func configOnly() bool {
	dir, err := os.Getwd()
	if err != nil {
		return false
	}
	if _, err := scaffold.FindModule(dir); err == nil {
		return false
	}
	info, err := os.Stat(defaultConfig)
	return err == nil && info.Mode().IsRegular()
}

// problemRow is one problem of a configuration file, as --format json prints it.
type problemRow struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Rule     string `json:"rule,omitempty"`
	Message  string `json:"message"`
}

// checkConfig checks a configuration file against the linked connectors, with
// the rules for streams that come from settings. It exits with 1 when the file
// would be refused, with 2 when it is no YAML. With fix it first mends what a machine can, with diff it prints
// what that would change.
func (a *app) checkConfig(file, format string, fix, diff bool) error {
	loaded, err := config.Load(file, a.plugins)
	if list, ok := errors.AsType[config.Problems](err); ok && (fix || diff) {
		if err := a.mendConfig(file, list, fix); err != nil {
			return failed(err)
		}
		if fix {
			loaded, err = config.Load(file, a.plugins)
		}
	}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
	case errors.Is(err, fs.ErrNotExist):
		return wrongUsage(fmt.Errorf("there is no file %s", file))
	case err != nil:
		return wrongUsage(err)
	}
	rows := []problemRow{}
	add := func(severity string, list config.Problems) {
		for _, p := range list {
			rows = append(rows, problemRow{p.File, p.Line, p.Column, severity, p.Rule, p.Message})
		}
	}
	add("error", problems)
	if loaded != nil {
		add("warning", loaded.Warnings)
	}
	switch format {
	case "json":
		encoder := json.NewEncoder(a.term.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"problems": rows}); err != nil {
			return failed(err)
		}
	case "text", "pretty":
		for _, row := range rows {
			a.printf("%s:%d:%d: %s%s\n", row.File, row.Line, row.Column, map[string]string{"warning": "warning: "}[row.Severity], row.Message)
		}
		if loaded != nil {
			a.notef("%s is fine: %d connections\n", file, len(loaded.Connections))
		}
	default:
		return wrongUsage(fmt.Errorf("--format %s is for packages; a configuration file is reported as text or json", format))
	}
	if problems.Unparsable() {
		return &exitError{exitUsage, nil}
	}
	if len(problems) > 0 {
		return &exitError{exitFailed, nil}
	}
	return nil
}

// mendConfig carries out the edits of problems, or prints the lines that it would
// change.
func (a *app) mendConfig(file string, problems config.Problems, write bool) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	mended, edits, err := config.Mend(content, problems)
	switch {
	case err != nil:
		return fmt.Errorf("%s has changed meanwhile: %w; run it again", file, err)
	case edits == 0:
		return nil
	case write:
		return os.WriteFile(file, mended, 0o600) //nolint:gosec // the caller's own file
	}
	before, after := strings.Split(string(content), "\n"), strings.Split(string(mended), "\n")
	a.printf("--- %s\n+++ %s\n", file, file)
	for i := range before {
		if before[i] != after[i] {
			a.printf("@@ -%d +%d @@\n-%s\n+%s\n", i+1, i+1, before[i], after[i])
		}
	}
	return nil
}
