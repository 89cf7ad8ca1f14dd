package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
)

func (a *app) catalog() *cobra.Command {
	var asJSON bool
	var file string
	times := 1
	command := &cobra.Command{
		Use: "catalog [connector]", Short: "Show what the linked connectors declare", Args: cobra.MaximumNArgs(1),
		Long: "Show what the linked connectors declare. With a connector, its settings follow; with --config, what\n" +
			"the connections of a file declare, also those whose streams come from their settings.",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.foreignModule(); err != nil {
				return err
			}
			if file != "" {
				return a.configuredCatalog(file, asJSON, times)
			}
			manifests := []catalog.Manifest{}
			var known []string
			for _, p := range a.plugins {
				known = append(known, p.Key())
				if len(args) == 0 || args[0] == p.Key() {
					manifests = append(manifests, p.Manifest())
				}
			}
			if len(args) == 1 && len(manifests) == 0 {
				return failed(fmt.Errorf("no connector %q is linked into this binary; linked are %s", args[0], strings.Join(known, ", ")))
			}
			slices.SortFunc(manifests, func(x, y catalog.Manifest) int { return strings.Compare(x.Connector, y.Connector) })
			if asJSON {
				encoder := json.NewEncoder(a.term.Out)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				return encoder.Encode(map[string]any{"connectors": manifests})
			}
			for i, m := range manifests {
				if i > 0 {
					a.printf("\n")
				}
				if err := a.printManifest(m, times); err != nil {
					return err
				}
			}
			if len(args) == 1 {
				return a.printSettings(args[0])
			}
			return nil
		},
	}
	command.Flags().IntVar(&times, "next", times, fmt.Sprintf("how many of the next times of each schedule to show, at most %d", maxTimes))
	command.Flags().BoolVar(&asJSON, "json", false, "print the manifests")
	command.AddCommand(a.catalogDiff(), a.catalogAccept())
	command.Flags().StringVarP(&file, "config", "c", "", "show the connections of this configuration file")
	return command
}

// configuredCatalog prints what the connections of a file declare.
func (a *app) configuredCatalog(file string, asJSON bool, times int) error {
	loaded, err := config.Load(file, a.plugins)
	if err != nil {
		return wrongUsage(err)
	}
	type row struct {
		Project    string           `json:"project"`
		Connection string           `json:"connection"`
		Manifest   catalog.Manifest `json:"manifest"`
	}
	rows := []row{}
	for _, c := range loaded.Connections {
		for _, p := range a.plugins {
			if p.Key() != c.Connector || c.Type == "sink" {
				continue
			}
			declared, err := p.Declare(c.Settings)
			if err != nil {
				return failed(fmt.Errorf("connection %q: %w", c.Name, err))
			}
			m, _ := catalog.Described(declared)
			rows = append(rows, row{c.Project, c.Name, m})
		}
	}
	if asJSON {
		encoder := json.NewEncoder(a.term.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"connections": rows})
	}
	for i, r := range rows {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s/%s: ", r.Project, r.Connection)
		if err := a.printManifest(r.Manifest, times); err != nil {
			return err
		}
	}
	return nil
}

// printSettings prints the settings of a connector.
func (a *app) printSettings(connector string) error {
	index := slices.IndexFunc(a.plugins, func(p framework.Plugin) bool { return p.Key() == connector })
	if index < 0 {
		return nil
	}
	a.printf("\nSettings\n")
	table := tabwriter.NewWriter(a.term.Out, 0, 4, 2, ' ', 0)
	framework.WalkSettings(a.plugins[index].Settings(), func(path string, s framework.Setting) {
		if s.Name == "" {
			return // the entries of a list
		}
		note := s.Type
		switch {
		case s.Secret:
			note += ", secret"
		case len(s.Enum) > 0:
			note = strings.Join(s.Enum, " | ")
		}
		fallback := string(s.Default)
		if s.Required {
			fallback = "required"
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", path, note, fallback, s.Doc)
	})
	return table.Flush()
}

func (a *app) printManifest(m catalog.Manifest, times int) error {
	a.printf("%s\n", m.Connector)
	if m.Dynamic && len(m.Streams) == 0 {
		a.printf("  streams come from the settings of each connection\n")
	}
	if m.Description != "" {
		a.printf("  %s\n", m.Description)
	}
	table := tabwriter.NewWriter(a.term.Out, 0, 4, 2, ' ', 0)
	for _, s := range m.Streams {
		cadence, next := "on delivery", ""
		if s.Mode == catalog.ModePoll {
			parsed, err := schedule.Parse(s.Schedule)
			if err != nil {
				cadence = "schedule is wrong: " + err.Error()
			} else {
				cadence = parsed.Words()
				next = nextTimes(parsed, times)
			}
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", s.Key, s.Mode, s.Schedule, cadence, next)
	}
	for _, e := range m.Endpoints {
		_, _ = fmt.Fprintf(table, "  POST /webhooks/{connection}/%s\twebhook\t\tauth %s\t\n", e.Path, e.Auth)
	}
	return table.Flush()
}

// maxTimes bounds the times that are listed of one schedule.
const maxTimes = 100

// nextTimes lists when a schedule fires next, in its own zone, so that a change
// of the clocks can be seen.
func nextTimes(s schedule.Schedule, n int) string {
	var list []string
	for _, at := range s.NextN(time.Now(), min(max(n, 0), maxTimes)) {
		list = append(list, at.Format(time.RFC3339))
	}
	if len(list) == 0 {
		return ""
	}
	return "next " + strings.Join(list, ", ")
}
