package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// webhook is the parent of what is done with webhooks.
func (a *app) webhook() *cobra.Command {
	command := &cobra.Command{
		Use: "webhook", Short: "Send, verify and look at webhooks", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(a.listWebhooks(), a.webhookSend(), a.webhookVerify(), a.resumeWebhook())
	return command
}

// webhookEndpoint is an endpoint of the API.
type webhookEndpoint struct {
	Path        string           `json:"path"`
	URL         string           `json:"url"`
	Deliveries  map[string]int64 `json:"deliveries"`
	Quarantined bool             `json:"quarantined"`
	Processes   int              `json:"processes"`
	Answered    int              `json:"answered"`
	Recent      []struct {
		ID         *string `json:"id"`
		ReceivedAt string  `json:"received_at"`
		Verdict    string  `json:"verdict"`
		Status     *int    `json:"status"`
		DurationMS float64 `json:"duration_ms"`
		BodyBytes  int     `json:"body_bytes"`
		Events     int     `json:"events"`
		Reason     *string `json:"reason"`
	} `json:"recent"`
}

func (a *app) listWebhooks() *cobra.Command {
	var c client
	var asJSON bool
	command := &cobra.Command{
		Use: "list <connection> [path]", Short: "List the endpoints of a connection, or what came in at one", Args: cobra.RangeArgs(1, 2),
		Long: "List the webhook endpoints of a connection with their counts, or the last deliveries of one endpoint, newest\n" +
			"first. Both are what the processes that share the store know since their start.",
		Example: "  weir webhook list pay\n  weir webhook list pay stripe",
		RunE: func(command *cobra.Command, args []string) error {
			var raw json.RawMessage
			parts := append([]string{"connections", args[0], "webhooks"}, args[1:]...)
			if err := c.call(command.Context(), http.MethodGet, c.path(parts...), nil, &raw); err != nil {
				return err
			}
			if asJSON {
				a.printf("%s\n", raw)
				return nil
			}
			if len(args) == 1 {
				var list struct {
					Webhooks []webhookEndpoint `json:"webhooks"`
				}
				if err := json.Unmarshal(raw, &list); err != nil {
					return failed(fmt.Errorf("decode the endpoints: %w", err))
				}
				for _, e := range list.Webhooks {
					a.printEndpoint(e)
				}
				return nil
			}
			var e webhookEndpoint
			if err := json.Unmarshal(raw, &e); err != nil {
				return failed(fmt.Errorf("decode the endpoint: %w", err))
			}
			a.printEndpoint(e)
			a.printRecent(e)
			return nil
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print the answer of the API")
	return command
}

func (a *app) printEndpoint(e webhookEndpoint) {
	counts := make([]string, 0, len(e.Deliveries))
	for _, verdict := range slices.Sorted(maps.Keys(e.Deliveries)) {
		counts = append(counts, fmt.Sprintf("%s %d", verdict, e.Deliveries[verdict]))
	}
	if len(counts) == 0 {
		counts = []string{"nothing came yet"}
	}
	if e.Quarantined {
		counts = append(counts, "IN QUARANTINE")
	}
	a.printf("%s  %s  %s\n", e.Path, e.URL, strings.Join(counts, ", "))
	if e.Answered < e.Processes {
		a.notef("%d of %d processes did not answer; what they have seen is left out\n", e.Processes-e.Answered, e.Processes)
	}
}

func (a *app) printRecent(e webhookEndpoint) {
	for _, d := range e.Recent {
		status, id, why := "call", "-", ""
		if d.Status != nil {
			status = strconv.Itoa(*d.Status)
		}
		if d.ID != nil {
			id = *d.ID
		}
		if d.Reason != nil {
			why = "  " + strconv.QuoteToGraphic(*d.Reason)
		}
		a.printf("%s  %-10s  %-4s  %8.1f ms  %7d bytes  %3d events  %s%s\n", d.ReceivedAt, d.Verdict, status, d.DurationMS, d.BodyBytes, d.Events, id, why)
	}
}

func (a *app) resumeWebhook() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "resume <connection> <path>", Short: "Let the handler of an endpoint in quarantine be called again", Args: cobra.ExactArgs(2),
		Long: "An endpoint whose handler was at work when three processes in a row ended is in quarantine: what comes in is\n" +
			"kept as dead letters. Mend the handler, resume the endpoint, then redeliver.",
		RunE: func(command *cobra.Command, args []string) error {
			var e webhookEndpoint
			if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "webhooks", args[1], "resume"), nil, &e); err != nil {
				return err
			}
			a.printf("%s of %s takes deliveries again\n", args[1], args[0])
			return nil
		},
	}
	c.flags(command)
	return command
}
