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
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// backfillRow is the part of a backfill that is printed.
type backfillRow struct {
	ID               string     `json:"id"`
	Connection       string     `json:"connection"`
	Stream           string     `json:"stream"`
	State            string     `json:"state"`
	Paused           bool       `json:"paused"`
	From             time.Time  `json:"from"`
	To               time.Time  `json:"to"`
	Progress         float64    `json:"progress"`
	RemainingSeconds *float64   `json:"remaining_seconds"`
	Pages            int64      `json:"pages"`
	Events           int64      `json:"events"`
	Duplicates       int64      `json:"duplicates"`
	Error            *string    `json:"error"`
	RetryAt          *time.Time `json:"retry_at"`
}

func (a *app) backfill() *cobra.Command {
	var c client
	var from, to, window, rate string
	var asJSON, detach bool
	command := &cobra.Command{
		Use: "backfill <connection> <stream> --from DATE --to DATE", Short: "Read a range of the past beside the live polls",
		Args: cobra.ExactArgs(2),
		Long: "Read a range of the past beside the live polls. The server does it, window by window; the live cursor\n" +
			"never moves, and what was recorded before is not recorded again. It goes on when this command is\n" +
			"interrupted, and after a restart of the server.",
		Example: "  weir backfill pay invoices --from 2026-01-01 --to 2026-02-01\n" +
			"  weir backfill pay invoices --from 2020-01-01 --to 2026-01-01 --window 7d --rate 30/min --detach\n" +
			"  weir backfill list pay invoices\n" +
			"  weir backfill cancel pay bfl_…",
		RunE: func(command *cobra.Command, args []string) error {
			query := url.Values{"from": {from}, "to": {to}}
			for name, value := range map[string]string{"window": window, "rate": rate} {
				if value != "" {
					query.Set(name, value)
				}
			}
			var raw json.RawMessage
			if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "streams", args[1], "backfills"), query, &raw); err != nil {
				return err
			}
			return a.followBackfill(command.Context(), &c, args[0], raw, asJSON, detach)
		},
	}
	c.flags(command)
	command.Flags().StringVar(&from, "from", "", "start of the range, RFC 3339 or a date")
	command.Flags().StringVar(&to, "to", "", "end of the range, which is not in it")
	command.Flags().StringVar(&window, "window", "", "length of the parts the range is split into, such as 1d or 6h (default 1d)")
	command.Flags().StringVar(&rate, "rate", "", "most pages to read, such as 30/min")
	command.Flags().BoolVar(&asJSON, "json", false, "print the API's answers")
	command.Flags().BoolVar(&detach, "detach", false, "do not wait for the end")
	_ = command.MarkFlagRequired("from")
	_ = command.MarkFlagRequired("to")
	command.AddCommand(a.backfillList(), a.backfillTurn("cancel", "End a backfill; it may be resumed"), a.backfillTurn("resume", "Go on with a backfill that failed or was canceled"))
	return command
}

func (a *app) backfillList() *cobra.Command {
	var c client
	var asJSON bool
	command := &cobra.Command{
		Use: "list <connection> <stream>", Short: "List the backfills of a stream, newest first", Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			var raw json.RawMessage
			err := c.call(command.Context(), http.MethodGet, c.path("connections", args[0], "streams", args[1], "backfills"), url.Values{"limit": {"1000"}}, &raw)
			if err != nil {
				return err
			}
			var list struct {
				Backfills []backfillRow `json:"backfills"`
			}
			if err := json.Unmarshal(raw, &list); err != nil {
				return failed(fmt.Errorf("decode the server's answer: %w", err))
			}
			switch {
			case asJSON:
				a.printf("%s\n", raw)
			case len(list.Backfills) == 0:
				a.printf("No backfill of %s.%s.\n", args[0], args[1])
			default:
				return a.printBackfills(list.Backfills)
			}
			return nil
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print the API's answer")
	return command
}

func (a *app) printBackfills(list []backfillRow) error {
	table := tabwriter.NewWriter(a.term.Out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "BACKFILL\tSTATE\tFROM\tTO\tDONE\tLEFT\tPAGES\tEVENTS\tSEEN AGAIN")
	for _, b := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d%%\t%s\t%d\t%d\t%d\n", b.ID, b.state(), day(b.From), day(b.To),
			int(b.Progress*100), b.left(), b.Pages, b.Events, b.Duplicates)
	}
	if err := table.Flush(); err != nil {
		return failed(err)
	}
	for _, b := range list {
		if b.Error != nil {
			a.printf("%s: %s\n", b.ID, strings.ReplaceAll(*b.Error, "\n", "\n  "))
		}
	}
	return nil
}

func (a *app) backfillTurn(verb, short string) *cobra.Command {
	var c client
	var asJSON, detach bool
	command := &cobra.Command{
		Use: verb + " <connection> <backfill>", Short: short, Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			var raw json.RawMessage
			if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "backfills", args[1], verb), nil, &raw); err != nil {
				return err
			}
			return a.followBackfill(command.Context(), &c, args[0], raw, asJSON, detach || verb == "cancel")
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print the API's answers")
	if verb != "cancel" {
		command.Flags().BoolVar(&detach, "detach", false, "do not wait for the end")
	}
	return command
}

// followEvery is how often a backfill is asked for.
const followEvery = time.Second

// followBackfill prints a backfill and how it goes on until it is over.
func (a *app) followBackfill(ctx context.Context, c *client, connection string, raw json.RawMessage, asJSON, detach bool) error {
	terminal := !asJSON && isTerminal(a.term.Err)
	last := ""
	for {
		var b backfillRow
		if err := json.Unmarshal(raw, &b); err != nil {
			return failed(fmt.Errorf("decode the server's answer: %w", err))
		}
		over := b.State != "running"
		line := b.String()
		switch {
		case asJSON:
			a.printf("%s\n", raw)
		case detach || over:
			if terminal && last != "" {
				a.clearLine()
			}
			a.printf("%s\n", line)
		case terminal:
			a.clearLine()
			a.notef("%s %s", b.bar(), line)
		case line != last:
			a.notef("%s\n", line)
		}
		last = line
		switch {
		case b.State == "failed":
			if b.Error != nil {
				return failed(fmt.Errorf("backfill %s failed: %s; mend the cause, then: weir backfill resume %s %s", b.ID, *b.Error, connection, b.ID))
			}
			return failed(fmt.Errorf("backfill %s failed", b.ID))
		case detach || over:
			return nil
		}
		select {
		case <-ctx.Done():
			if terminal {
				a.notef("\n")
			}
			return failed(fmt.Errorf("interrupted; the server goes on with it: weir backfill list %s %s", connection, b.Stream))
		case <-time.After(followEvery):
		}
		if err := c.call(ctx, http.MethodGet, c.path("connections", connection, "backfills", b.ID), nil, &raw); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return err
		}
	}
}

func (b backfillRow) state() string {
	if b.Paused {
		return "paused"
	}
	return b.State
}

func (b backfillRow) left() string {
	switch {
	case b.State != "running":
		return "-"
	case b.Error != nil && b.RetryAt != nil:
		return "tried again " + ago(b.RetryAt)
	case b.RemainingSeconds != nil:
		return "about " + (time.Duration(*b.RemainingSeconds) * time.Second).String()
	}
	return "unknown"
}

// String is the backfill in one line.
func (b backfillRow) String() string {
	line := fmt.Sprintf("%s: %s, %d%%, %d pages, %d events, %d seen again", b.ID, b.state(), int(b.Progress*100), b.Pages, b.Events, b.Duplicates)
	if left := b.left(); left != "-" && left != "unknown" {
		line += ", " + left
		if b.Error == nil {
			line += " left"
		}
	}
	return line
}

func (b backfillRow) bar() string {
	const width = 24
	done := min(width, max(0, int(b.Progress*width)))
	return "[" + strings.Repeat("#", done) + strings.Repeat("-", width-done) + "]"
}

// day shortens a time that is a midnight.
func day(t time.Time) string {
	if t = t.UTC(); t.Truncate(24 * time.Hour).Equal(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// clearLine empties the line that the cursor of the terminal is in. Only this
// program's own control characters may pass the [plainWriter].
func (a *app) clearLine() {
	if p, ok := a.term.Err.(*plainWriter); ok {
		p.flush()
		_, _ = p.out.Write([]byte("\r\x1b[K"))
	}
}

// isTerminal reports that w is shown to somebody, who wants one line that changes.
func isTerminal(w io.Writer) bool {
	if p, ok := w.(*plainWriter); ok {
		w = p.out
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// oneOrAll reads the arguments of a command that takes a stream or a connection.
func oneOrAll(args []string) ([]string, error) {
	connection, stream, dotted := strings.Cut(args[0], ".")
	switch {
	case len(args) == 2:
		return args, nil
	case dotted && stream != "":
		return []string{connection, stream}, nil
	case dotted:
		return nil, wrongUsage(errors.New("name a stream after the dot, or the connection alone"))
	}
	return args, nil
}
