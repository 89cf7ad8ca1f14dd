package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/framework/trigger"
)

// runPause is how often a run is looked at.
const runPause = 300 * time.Millisecond

func (a *app) trigger() *cobra.Command {
	var c client
	var file, key string
	var asJSON, detach bool
	command := &cobra.Command{
		Use: "trigger <connection>[.<action>]", Short: "Start what a trigger does, or an action of a connection, and watch it", Args: cobra.ExactArgs(1),
		Long: "Start what a trigger does, or an action of another connection, and watch it to its end. The input is JSON\n" +
			"from --file (- for standard input), else {}. The run goes on when this command is interrupted.",
		Example: "  weir trigger count --file in.json\n" +
			"  weir trigger demo.count_orders\n" +
			"  weir trigger cancel run_…",
		RunE: func(command *cobra.Command, args []string) error {
			input, err := readInput(command.InOrStdin(), file)
			if err != nil {
				return err
			}
			connection, action, named := strings.Cut(args[0], ".")
			if !named {
				action = trigger.Type
			}
			query := url.Values{}
			if key != "" {
				query.Set("key", key)
			}
			var started struct {
				RunID string `json:"run_id"`
			}
			if err := c.send(command.Context(), http.MethodPost, c.path("connections", connection, "actions", action), query, input, &started); err != nil {
				return err
			}
			if detach {
				a.printf("%s\n", started.RunID)
				return nil
			}
			return a.followRun(command.Context(), &c, started.RunID, asJSON)
		},
	}
	c.flags(command)
	command.Flags().StringVar(&file, "file", "", "file with the input as JSON; - reads it from standard input")
	command.Flags().StringVar(&key, "key", "", "idempotency key of what a trigger of ingest records")
	command.Flags().BoolVar(&asJSON, "json", false, "print the run as JSON when it has ended")
	command.Flags().BoolVar(&detach, "detach", false, "print the run's id and do not wait for its end")
	command.AddCommand(a.triggerCancel())
	return command
}

func (a *app) triggerCancel() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "cancel <run>", Short: "End a run of an action", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			var row actionRun
			if err := c.call(command.Context(), http.MethodDelete, c.path("runs", args[0]), nil, &row); err != nil {
				return err
			}
			a.printf("%s of %s is asked to end.\n", row.Action, row.Connection)
			return nil
		},
	}
	c.flags(command)
	return command
}

// readInput reads the input of an action.
func readInput(stdin io.Reader, file string) ([]byte, error) {
	var b []byte
	var err error
	switch file {
	case "":
		return []byte("{}"), nil
	case "-":
		b, err = io.ReadAll(io.LimitReader(stdin, trigger.MaxBody+1))
	default:
		b, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return nil, wrongUsage(fmt.Errorf("the input cannot be read: %w", err))
	case len(b) > trigger.MaxBody:
		return nil, wrongUsage(errors.New("the input is larger than 1 MiB"))
	case !json.Valid(b):
		return nil, wrongUsage(errors.New("the input is no JSON"))
	}
	return b, nil
}

// actionRun is a run of an action as the API shows it.
type actionRun struct {
	Connection string  `json:"connection"`
	Action     string  `json:"action"`
	State      string  `json:"state"`
	Progress   int     `json:"progress"`
	Message    *string `json:"message"`
	Error      *string `json:"error"`
}

// followRun shows the progress of a run until it has ended, and then its output.
func (a *app) followRun(ctx context.Context, c *client, id string, asJSON bool) error {
	shown := ""
	ticker := time.NewTicker(runPause)
	defer ticker.Stop()
	for {
		var raw json.RawMessage
		if err := c.call(ctx, http.MethodGet, c.path("runs", id), nil, &raw); err != nil {
			return a.leftRun(err, id)
		}
		var run actionRun
		if err := json.Unmarshal(raw, &run); err != nil {
			return failed(fmt.Errorf("decode the server's answer: %w", err))
		}
		line := fmt.Sprintf("%3d %%", run.Progress)
		if run.Message != nil {
			line += "  " + *run.Message
		}
		if line != shown && run.State == "running" {
			a.notef("%s\n", line)
			shown = line
		}
		switch run.State {
		case "running":
		case "succeeded":
			if asJSON {
				a.printf("%s\n", raw)
				return nil
			}
			var output json.RawMessage
			if err := c.call(ctx, http.MethodGet, c.path("runs", id, "output"), nil, &output); err != nil {
				return err
			}
			a.printf("%s\n", output)
			return nil
		default:
			if asJSON {
				a.printf("%s\n", raw)
			}
			why := ""
			if run.Error != nil {
				why = ": " + *run.Error
			}
			return failed(fmt.Errorf("the run %s is %s%s", id, run.State, why))
		}
		select {
		case <-ctx.Done():
			return a.leftRun(failed(errors.New("interrupted")), id)
		case <-ticker.C:
		}
	}
}

// leftRun says that a run goes on without this command.
func (a *app) leftRun(err error, id string) error {
	a.notef("The run goes on. End it with: weir trigger cancel %s\n", id)
	return err
}
