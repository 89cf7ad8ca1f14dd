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
)

func (a *app) catalog() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "catalog [connector]", Short: "Show what the linked connectors declare", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.foreignModule(); err != nil {
				return err
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
				if err := a.printManifest(m); err != nil {
					return err
				}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the manifests")
	command.AddCommand(a.catalogDiff(), a.catalogAccept())
	return command
}

func (a *app) printManifest(m catalog.Manifest) error {
	a.printf("%s\n", m.Connector)
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
				next = "next " + parsed.Next(time.Now()).Format(time.RFC3339)
			}
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", s.Key, s.Mode, s.Schedule, cadence, next)
	}
	for _, e := range m.Endpoints {
		_, _ = fmt.Fprintf(table, "  POST /webhooks/{connection}/%s\twebhook\t\tauth %s\t\n", e.Path, e.Auth)
	}
	return table.Flush()
}
