package http_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
)

//go:generate go test -run TestTheSettingsTableIsFresh -update .

var update = flag.Bool("update", false, "write the table of settings")

var page = filepath.Join("..", "..", "docs", "http.md")

func readPage(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	return string(content)
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| setting | type | default | meaning |\n|---|---|---|---|\n")
	framework.WalkSettings(connector.Plugin.Settings(), func(path string, s framework.Setting) {
		if s.Name == "" || strings.HasPrefix(path, "streams[].") && path != "streams[].stream" {
			return
		}
		kind, fallback := s.Type, strings.Trim(string(s.Default), `"`)
		if len(s.Enum) > 0 {
			kind = strings.Join(s.Enum, ", ")
		}
		if s.Secret {
			kind += ", secret"
		}
		if s.Required {
			fallback = "required"
		}
		if fallback != "" && fallback != "required" {
			fallback = "`" + fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", path, kind, fallback, strings.ReplaceAll(s.Doc, "|", `\|`))
	})
	return b.String()
}

func TestTheSettingsTableIsFresh(t *testing.T) {
	t.Parallel()
	content := readPage(t)
	before, rest, ok := strings.Cut(content, "<!-- settings -->\n")
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, "<!-- end of settings -->")
	require.True(t, ok)
	want := before + "<!-- settings -->\n" + settingsTable() + "<!-- end of settings -->" + after
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, content, "run go generate ./connectors/http")
}

// example returns the connections of an example of the page, with provider in
// place of the address it names.
func example(t *testing.T, name, address, provider string) []config.Connection {
	t.Helper()
	_, rest, ok := strings.Cut(readPage(t), "<!-- example: "+name+" -->\n```yaml\n")
	require.True(t, ok)
	text, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	if address != "" {
		require.Contains(t, text, address)
		text = strings.ReplaceAll(text, address, provider)
	}
	file, err := config.Parse("weir.yaml", []byte(text), func(name string) (string, bool) { return "secret-of-" + name, true }, []framework.Plugin{connector.Plugin})
	require.NoError(t, err)
	require.Empty(t, file.Warnings)
	return file.Connections
}
