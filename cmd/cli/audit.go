package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// auditRow is an entry of the audit log as the API lists it.
type auditRow struct {
	At         time.Time `json:"at"`
	Actor      string    `json:"actor"`
	Role       string    `json:"role"`
	Address    string    `json:"address"`
	Action     string    `json:"action"`
	Project    string    `json:"project"`
	Connection string    `json:"connection"`
	Detail     string    `json:"detail"`
	Status     int       `json:"status"`
}

// auditPage is how many entries are asked for at once.
const auditPage = 500

func (a *app) audit() *cobra.Command {
	var (
		c                                    client
		actor, project, connection, from, to string
		limit                                int
		asJSON                               bool
	)
	command := &cobra.Command{
		Use: "audit", Short: "List who did what, newest first", Args: cobra.NoArgs,
		Long: "List what callers of the management API and people on the dashboard did, or were refused, newest first.\n" +
			"It is kept for a year, and at most 100,000 entries.",
		Example: "  weir audit --connection shop --from 2026-11-01\n  weir audit --actor ci --limit 20 --json",
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 1 {
				return wrongUsage(errors.New("--limit must be at least 1"))
			}
			query := url.Values{}
			for name, value := range map[string]string{"actor": actor, "project": project, "connection": connection, "from": from, "to": to} {
				if value != "" {
					query.Set(name, value)
				}
			}
			table := tabwriter.NewWriter(a.term.Out, 0, 4, 2, ' ', 0)
			if !asJSON {
				_, _ = fmt.Fprintln(table, "WHEN\tWHO\tROLE\tFROM\tWHAT\tOF\tSTATUS\tDETAIL")
			}
			for limit > 0 {
				var page struct {
					Entries []json.RawMessage `json:"entries"`
					Next    *string           `json:"next"`
				}
				query.Set("limit", strconv.Itoa(min(limit, auditPage)))
				if err := c.call(command.Context(), http.MethodGet, "/api/v1/audit", query, &page); err != nil {
					return err
				}
				for _, raw := range page.Entries {
					if asJSON {
						a.printf("%s\n", raw)
						continue
					}
					var e auditRow
					if err := json.Unmarshal(raw, &e); err != nil {
						return failed(fmt.Errorf("decode an entry: %w", err))
					}
					_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", e.At.Format(time.DateTime)+"Z", e.Actor, dash(e.Role), dash(e.Address),
						e.Action, dash(of(e.Project, e.Connection)), e.Status, e.Detail)
				}
				limit -= len(page.Entries)
				if page.Next == nil || len(page.Entries) == 0 {
					break
				}
				query.Set("page_token", *page.Next)
			}
			if err := table.Flush(); err != nil {
				return failed(err)
			}
			return nil
		},
	}
	c.serverFlags(command)
	flags := command.Flags()
	flags.StringVar(&actor, "actor", "", "only what this one did: the name of a token, \"admin token\" or \"loopback\"")
	flags.StringVar(&project, "project", "", "only what was done in this project")
	flags.StringVar(&connection, "connection", "", "only what was done to this connection, by the name that was called")
	flags.StringVar(&from, "from", "", "only since this date or RFC 3339 time")
	flags.StringVar(&to, "to", "", "only before this date or RFC 3339 time")
	flags.IntVar(&limit, "limit", 100, "how many entries at most")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return command
}

func of(project, connection string) string {
	if connection == "" {
		return project
	}
	return project + "/" + connection
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
