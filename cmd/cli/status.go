package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// streamRow is the part of a stream's view that is printed.
type streamRow struct {
	Connection    string     `json:"connection"`
	Stream        string     `json:"stream"`
	Mode          string     `json:"mode"`
	Cadence       string     `json:"cadence"`
	State         string     `json:"state"`
	LastSuccessAt *time.Time `json:"last_success_at"`
	NextRunAt     *time.Time `json:"next_run_at"`
	LastError     *string    `json:"last_error"`
	EventsTotal   int64      `json:"events_total"`
}

func (a *app) status() *cobra.Command {
	var c client
	var asJSON, all bool
	command := &cobra.Command{
		Use: "status", Short: "Show the health of every stream", Args: cobra.NoArgs,
		Long: "Show the health of every stream of a running Weir. It exits with 1 when a stream is failing.",
		RunE: func(command *cobra.Command, _ []string) error {
			answer, err := c.streams(command, all)
			if err != nil {
				return err
			}
			return a.printStatus(answer, asJSON)
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print the API's answer")
	command.Flags().BoolVar(&all, "all", true, "list every page of the answer")
	return command
}

// streams lists the streams of the project, all pages in one document.
func (c *client) streams(command *cobra.Command, all bool) (json.RawMessage, error) {
	whole := struct {
		Streams []json.RawMessage `json:"streams"`
		Next    *string           `json:"next"`
	}{Streams: []json.RawMessage{}}
	query := url.Values{"limit": {"1000"}}
	for {
		page := whole
		page.Streams, page.Next = nil, nil
		if err := c.call(command.Context(), http.MethodGet, c.path("streams"), query, &page); err != nil {
			return nil, err
		}
		whole.Streams = append(whole.Streams, page.Streams...)
		whole.Next = page.Next
		if !all || page.Next == nil || *page.Next == "" {
			return json.MarshalIndent(whole, "", "  ")
		}
		query.Set("page_token", *page.Next)
	}
}

func (a *app) printStatus(answer []byte, asJSON bool) error {
	var list struct {
		Streams []streamRow `json:"streams"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return failed(fmt.Errorf("decode the server's answer: %w", err))
	}
	failing := slices.ContainsFunc(list.Streams, func(s streamRow) bool { return s.State == "failing" })
	switch {
	case asJSON:
		a.printf("%s\n", answer)
	case len(list.Streams) == 0:
		a.printf("No streams. Add a connection to weir.yaml.\n")
	default:
		if err := a.printTable(list.Streams); err != nil {
			return failed(err)
		}
	}
	if failing {
		return &exitError{exitFailed, nil}
	}
	return nil
}

func (a *app) printTable(streams []streamRow) error {
	table := tabwriter.NewWriter(a.term.Out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "STREAM\tSTATE\tCADENCE\tLAST SUCCESS\tNEXT RUN\tEVENTS")
	for _, s := range streams {
		cadence := s.Cadence
		if s.Mode == "webhook" {
			cadence = "webhook"
		}
		_, _ = fmt.Fprintf(table, "%s.%s\t%s\t%s\t%s\t%s\t%d\n", s.Connection, s.Stream, s.State, cadence, ago(s.LastSuccessAt), ago(s.NextRunAt), s.EventsTotal)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range streams {
		if s.State == "failing" && s.LastError != nil {
			a.printf("%s.%s: %s\n", s.Connection, s.Stream, strings.ReplaceAll(*s.LastError, "\n", "\n  "))
		}
	}
	return nil
}

// ago says how far a time lies from now, either way.
func ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	d := time.Until(*t)
	if d > 0 {
		return "in " + d.Round(time.Second).String()
	}
	return (-d).Round(time.Second).String() + " ago"
}
