package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/framework/connection"
)

// shown is what commands print of a connection after a change.
type shown struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Revision int64  `json:"revision"`
	Deployed int64  `json:"deployed_revision"`
}

func (a *app) deleteConnection() *cobra.Command {
	var c client
	var f directFlags
	var yes bool
	var events, letters string
	command := &cobra.Command{
		Use: "delete CONNECTION", Short: "Delete a connection", Args: cobra.ExactArgs(1),
		Long: "Delete a connection. What it recorded stays under its id, unless --events delete and --dead-letters\n" +
			"delete say otherwise; deleting that id then removes it for good.",
		RunE: func(command *cobra.Command, args []string) error {
			if !keepOrDelete(events) || !keepOrDelete(letters) {
				return wrongUsage(errors.New("--events and --dead-letters must be keep or delete"))
			}
			if !yes && a.terminal != nil && !a.confirm("delete connection "+args[0]+"? [y/N] ") {
				return failed(errors.New("nothing was changed"))
			}
			var out shown
			query := url.Values{"events": {events}, "dead_letters": {letters}}
			store, err := a.reach(command, &c, &f, "", func() error {
				return c.call(command.Context(), http.MethodDelete, c.path("connections", args[0]), query, &out)
			})
			if err != nil {
				return err
			}
			if store != nil {
				defer func() { _ = store.close() }() // what was committed is on disk
				keep := connection.Kept{Events: events == "keep", DeadLetters: letters == "keep"}
				if err := store.delete(command.Context(), c.project, args[0], keep); err != nil {
					return err
				}
			}
			a.printf("connection %s is deleted\n", args[0])
			return nil
		},
	}
	c.flags(command)
	f.register(command)
	command.Flags().StringVar(&events, "events", "keep", "keep or delete what was recorded")
	command.Flags().StringVar(&letters, "dead-letters", "keep", "keep or delete dead letters")
	command.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return command
}

func keepOrDelete(text string) bool { return text == "keep" || text == "delete" }

func (a *app) deploy() *cobra.Command {
	var c client
	var revision int64
	command := &cobra.Command{
		Use: "deploy CONNECTION", Short: "Have a saved revision run", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.move(command, &c, args[0], "deploy", revision)
		},
	}
	c.flags(command)
	command.Flags().Int64Var(&revision, "revision", 0, "number of a revision (default the latest)")
	return command
}

func (a *app) rollback() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "rollback CONNECTION REVISION", Short: "Go back to an earlier revision, by a new one that says the same", Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			number, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || number < 1 {
				return wrongUsage(fmt.Errorf("%q is no number of a revision; see weir history %s", args[1], args[0]))
			}
			return a.move(command, &c, args[0], "rollback", number)
		},
	}
	c.flags(command)
	return command
}

func (a *app) move(command *cobra.Command, c *client, name, verb string, revision int64) error {
	query := url.Values{}
	if revision > 0 {
		query.Set("revision", strconv.FormatInt(revision, 10))
	}
	var out shown
	if err := c.call(command.Context(), http.MethodPost, c.path("connections", name, verb), query, &out); err != nil {
		return err
	}
	a.printf("connection %s: revision %d is deployed, state %s\n", name, out.Deployed, out.State)
	return nil
}

func (a *app) test() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "test CONNECTION", Short: "Make one real round trip with a connection", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			var v connection.Verdict
			if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "test"), nil, &v); err != nil {
				return err
			}
			for _, s := range v.Steps {
				result := "ok  "
				if !s.OK {
					result = "FAIL"
				}
				a.printf("%s %s (%d ms) %s\n", result, s.Name, s.TookMS, s.Detail)
			}
			if !v.OK {
				return failed(errors.New(v.Summary))
			}
			return nil
		},
	}
	c.flags(command)
	return command
}

func (a *app) history() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "history CONNECTION", Short: "List the revisions of a connection: who, when, what", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			var page struct {
				Revisions []connection.Entry `json:"revisions"`
			}
			if err := c.call(command.Context(), http.MethodGet, c.path("connections", args[0], "revisions"), url.Values{"limit": {"100"}}, &page); err != nil {
				return err
			}
			for _, e := range page.Revisions {
				mark := " "
				if e.Deployed {
					mark = "*"
				}
				a.printf("%s %d  %s  %s\n", mark, e.Revision, e.CreatedAt.Format(time.RFC3339), strings.TrimSpace(e.By+"  "+e.Message))
				for _, change := range e.Changes {
					a.printf("      %s: %s -> %s\n", change.Path, change.Before, change.After)
				}
			}
			return nil
		},
	}
	c.flags(command)
	return command
}
