package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
)

// plan is what weir apply does, as the server says it.
type plan struct {
	Applied bool `json:"applied"`
	Steps   []struct {
		Action  string              `json:"action"`
		Project string              `json:"project"`
		Name    string              `json:"name"`
		Changes []connection.Change `json:"changes"`
	} `json:"steps"`
}

func (a *app) apply() *cobra.Command {
	var c client
	var f directFlags
	var file, message string
	var dryRun, prune, yes bool
	command := &cobra.Command{
		Use: "apply", Short: "Bring the connections of a weir.yaml into a Weir", Args: cobra.NoArgs,
		Long: "Compare the projects and connections of a file with those of a running Weir, show the difference, and\n" +
			"make the file's hold: all of it, or nothing. On a terminal it asks first. References such as ${NAME} are\n" +
			"resolved by the server, which reads the names that secrets.env of its own file lists. Where no server\n" +
			"answers and --server is not given, the store itself is changed, as weir.yaml (--config) names it.",
		RunE: func(command *cobra.Command, _ []string) error {
			content, err := a.fileOrInput(&file)
			if err != nil {
				return wrongUsage(err)
			}
			if file == "" && !yes && !dryRun && a.terminal != nil {
				return wrongUsage(errors.New("a file from standard input leaves nothing to ask on; give --yes or --dry-run"))
			}
			c.file = "the input"
			if file != "" {
				c.file = filepath.Base(file)
			}
			query := url.Values{"dry_run": {"true"}, "prune": {strconv.FormatBool(prune)}}
			var would plan
			ctx := command.Context()
			store, err := a.reach(command, &c, &f, file, func() error {
				return c.sendAs(ctx, http.MethodPost, "/api/v1/apply", query, "application/yaml", content, &would)
			})
			if err != nil {
				return err
			}
			if store != nil {
				defer func() { _ = store.close() }() // what was committed is on disk
				if would, err = store.apply(ctx, file, content, connection.FileOptions{Prune: prune}, "", true); err != nil {
					return err
				}
			}
			changes := a.printPlan(would)
			switch {
			case changes == 0:
				a.printf("nothing to change\n")
				return nil
			case dryRun:
				a.printf("%d changes; nothing was done (--dry-run)\n", changes)
				return nil
			case !yes && a.terminal != nil && !a.confirm(fmt.Sprintf("make these %d changes? [y/N] ", changes)):
				return failed(errors.New("nothing was changed"))
			}
			query.Set("dry_run", "false")
			if message != "" {
				query.Set("message", message)
			}
			if store != nil {
				_, err = store.apply(ctx, file, content, connection.FileOptions{Prune: prune}, message, false)
			} else {
				var did plan
				err = c.sendAs(ctx, http.MethodPost, "/api/v1/apply", query, "application/yaml", content, &did)
			}
			if err != nil {
				return err
			}
			a.printf("%d changes made\n", changes)
			return nil
		},
	}
	c.flags(command)
	f.register(command)
	command.Flags().StringVarP(&file, "file", "f", defaultConfig, "file with projects and connections, - for standard input")
	command.Flags().StringVar(&message, "message", "", "why, for the history")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would change")
	command.Flags().BoolVar(&prune, "prune", false, "delete connections that a file made and this one does not name")
	command.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return command
}

// fileOrInput reads a file to apply; file becomes "" for standard input.
func (a *app) fileOrInput(file *string) ([]byte, error) {
	from := a.term.In
	if *file != "-" {
		f, err := os.Open(*file)
		if err != nil {
			return nil, fmt.Errorf("read the file to apply: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	} else {
		*file = ""
	}
	content, err := io.ReadAll(io.LimitReader(from, config.MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the file to apply: %w", err)
	}
	if len(content) > config.MaxFileBytes {
		return nil, fmt.Errorf("the file to apply is larger than %d bytes", config.MaxFileBytes)
	}
	return content, nil
}

// signs stand before what a plan does.
var signs = map[string]string{"create": "+", "change": "~", "delete": "-", "release": "-", "unchanged": " "}

// printPlan shows a plan as a difference, and returns how many changes it makes.
func (a *app) printPlan(p plan) (changes int) {
	for _, s := range p.Steps {
		if s.Action == string(connection.ActionUnchanged) {
			continue
		}
		changes++
		what := "connection " + s.Project + "/" + s.Name
		if s.Name == "" {
			what = "project " + s.Project
		}
		a.printf("%s %s %s\n", signs[s.Action], s.Action, what)
		for _, c := range s.Changes {
			if c.Before != "" {
				a.printf("    - %s: %s\n", c.Path, c.Before)
			}
			if c.After != "" {
				a.printf("    + %s: %s\n", c.Path, c.After)
			}
		}
	}
	return changes
}

// confirm asks a question on the terminal.
func (a *app) confirm(question string) bool {
	a.notef("%s", question)
	line, err := bufio.NewReader(a.term.In).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(line), "y")
}

func (a *app) get() *cobra.Command {
	var c client
	var f directFlags
	var output string
	command := &cobra.Command{
		Use: "get connections [NAME…]", Short: "Print connections as weir apply takes them", Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if args[0] != "connections" && args[0] != "connection" {
				return wrongUsage(fmt.Errorf("there are no %s to get; get connections", args[0]))
			}
			var views []map[string]any
			store, err := a.reach(command, &c, &f, "", func() (err error) {
				views, err = c.views(command, args[1:])
				return err
			})
			if err != nil {
				return err
			}
			if store != nil {
				defer func() { _ = store.close() }() // nothing was written
				if views, err = store.views(command.Context(), c.project, args[1:]); err != nil {
					return err
				}
			}
			list := make([]any, 0, len(views))
			for _, view := range views {
				list = append(list, fileEntry(view))
			}
			out := map[string]any{"connections": list}
			switch output {
			case "json":
				encoder := json.NewEncoder(a.term.Out)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				return failedUnless(encoder.Encode(out))
			case "yaml":
				b, err := yaml.Marshal(out)
				if err != nil {
					return failed(err)
				}
				a.printf("%s", b)
				return nil
			}
			return wrongUsage(errors.New("--output must be yaml or json"))
		},
	}
	c.flags(command)
	f.register(command)
	command.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	return command
}

func failedUnless(err error) error {
	if err != nil {
		return failed(err)
	}
	return nil
}

// shownOnly are the members of a connection that a file does not have.
var shownOnly = []string{
	"id", "form", "state", "reason", "node", "revision", "deployed_revision", "running_revision", "managed_by", "secrets", "warnings", "created_at", "updated_at",
}

// fileEntry is a connection as it stands in a file.
func fileEntry(view map[string]any) map[string]any {
	if connection.IsWebhook(view) {
		for _, key := range append(shownOnly, "deployToWorker") {
			delete(view, key)
		}
		project := view["project"]
		view, _, _ = connection.FromWebhook(view)
		view["project"] = project
	}
	for _, key := range shownOnly {
		delete(view, key)
	}
	if streams, ok := view["streams"].([]any); ok && len(streams) == 0 {
		delete(view, "streams")
	}
	return view
}

// views reads connections of the project, all of them for no names.
func (c *client) views(command *cobra.Command, names []string) ([]map[string]any, error) {
	if len(names) == 0 {
		var err error
		if names, err = c.connectionNames(command); err != nil {
			return nil, err
		}
	}
	views := make([]map[string]any, len(names))
	for i, name := range names {
		if err := c.call(command.Context(), http.MethodGet, c.path("connections", name), nil, &views[i]); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// connectionNames lists the connections of the project.
func (c *client) connectionNames(command *cobra.Command) ([]string, error) {
	var names []string
	query := url.Values{"limit": {"1000"}}
	for {
		var page struct {
			Connections []struct {
				Name string `json:"name"`
			} `json:"connections"`
			Next *string `json:"next"`
		}
		if err := c.call(command.Context(), http.MethodGet, c.path("connections"), query, &page); err != nil {
			return nil, err
		}
		for _, one := range page.Connections {
			names = append(names, one.Name)
		}
		if page.Next == nil {
			return names, nil
		}
		query.Set("page_token", *page.Next)
	}
}

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of weir.yaml, for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			encoder := json.NewEncoder(a.term.Out)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			return failedUnless(encoder.Encode(connection.FileSchema(a.plugins)))
		},
	}
}
