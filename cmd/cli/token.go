package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// tokenRow is a token as the API lists it.
type tokenRow struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Project   *string    `json:"project"`
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Expired   bool       `json:"expired"`
	Token     string     `json:"token,omitempty"`
}

func (t tokenRow) where() string {
	if t.Project == nil {
		return "all projects"
	}
	return "project " + *t.Project
}

func (t tokenRow) until() string {
	switch {
	case t.ExpiresAt == nil:
		return "never"
	case t.Expired:
		return "expired"
	default:
		return t.ExpiresAt.Format(time.DateTime) + "Z"
	}
}

func (a *app) token() *cobra.Command {
	command := &cobra.Command{
		Use: "token", Short: "Make, list and revoke tokens of the management API", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	command.AddCommand(a.tokenCreate(), a.tokenList(), a.tokenRevoke())
	return command
}

func (a *app) tokenCreate() *cobra.Command {
	var (
		c                            client
		name, role, project, expires string
		asJSON                       bool
	)
	command := &cobra.Command{
		Use: "create --name NAME --role ROLE", Short: "Make a token and print it, once", Args: cobra.NoArgs,
		Long: "Make a token and print it. It is kept nowhere: who loses it makes another.\n\n" +
			"A viewer sees states and counts. An operator also sees payloads, and pauses, runs and redelivers. An admin\n" +
			"also changes what is configured and, when the token is for all projects, who may do what.",
		Example: "  weir token create --name grafana --role viewer --expires 365d\n" +
			"  weir token create --name ci --role admin --project shop",
		RunE: func(command *cobra.Command, _ []string) error {
			until, err := expiry(expires, time.Now())
			if err != nil {
				return wrongUsage(err)
			}
			if name == "" || role == "" {
				return wrongUsage(errors.New("--name and --role are missing; for example: weir token create --name ci --role viewer"))
			}
			request := map[string]any{"name": name, "role": role}
			if project != "" {
				request["project"] = project
			}
			if until != nil {
				request["expires_at"] = until
			}
			body, err := json.Marshal(request)
			if err != nil {
				return failed(err)
			}
			var raw json.RawMessage
			if err := c.send(command.Context(), http.MethodPost, "/api/v1/tokens", nil, body, &raw); err != nil {
				return err
			}
			if asJSON {
				a.printf("%s\n", raw)
				return nil
			}
			var made tokenRow
			if err := json.Unmarshal(raw, &made); err != nil {
				return failed(err)
			}
			a.notef("token %s named %s: %s of %s, expires: %s; this is the only time that it is shown\n", made.ID, word(made.Name), made.Role, made.where(), made.until())
			a.printf("%s\n", made.Token)
			return nil
		},
	}
	c.serverFlags(command)
	command.Flags().StringVar(&name, "name", "", "what the token is called in lists and in the audit log")
	command.Flags().StringVar(&role, "role", "", "viewer, operator or admin")
	command.Flags().StringVar(&project, "project", "", "the only project that it sees (default: all)")
	command.Flags().StringVar(&expires, "expires", "never", "when it ends: in 90d or 36h, on 2027-01-31, or never")
	command.Flags().BoolVar(&asJSON, "json", false, "print what the server answers")
	return command
}

// expiry reads when a token ends; nil is never.
func expiry(text string, now time.Time) (*time.Time, error) {
	if text == "never" {
		return nil, nil //nolint:nilnil // never is no time
	}
	at, ok := moment(text, now)
	switch {
	case !ok:
		return nil, fmt.Errorf("--expires %q is no time; write 90d, 36h, 2027-01-31 or never", text)
	case !at.After(now):
		return nil, fmt.Errorf("--expires %q has passed", text)
	}
	at = at.UTC()
	return &at, nil
}

// moment reads a date, a time, or how long from now it is.
func moment(text string, now time.Time) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16) // 179 years
		return now.AddDate(0, 0, int(n)), err == nil
	}
	d, err := time.ParseDuration(text)
	return now.Add(d), err == nil
}

func (a *app) tokenList() *cobra.Command {
	var c client
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List the tokens that were not revoked", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			var raw json.RawMessage
			if err := c.call(command.Context(), http.MethodGet, "/api/v1/tokens", nil, &raw); err != nil {
				return err
			}
			if asJSON {
				a.printf("%s\n", raw)
				return nil
			}
			var list struct {
				Tokens []tokenRow `json:"tokens"`
			}
			if err := json.Unmarshal(raw, &list); err != nil {
				return failed(err)
			}
			table := tabwriter.NewWriter(a.term.Out, 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "ID\tNAME\tROLE\tOF\tEXPIRES\tMADE\tBY")
			for _, t := range list.Tokens {
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, t.where(), t.until(), t.CreatedAt.Format(time.DateOnly), t.CreatedBy)
			}
			if err := table.Flush(); err != nil {
				return failed(err)
			}
			return nil
		},
	}
	c.serverFlags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print what the server answers")
	return command
}

func (a *app) tokenRevoke() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "revoke <name or id>", Short: "End a token, and every session that it opened", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			var t tokenRow
			if err := c.call(command.Context(), http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(args[0]), nil, &t); err != nil {
				return err
			}
			a.printf("token %s named %s is revoked; other nodes refuse it within a few seconds\n", t.ID, word(t.Name))
			return nil
		},
	}
	c.serverFlags(command)
	return command
}
