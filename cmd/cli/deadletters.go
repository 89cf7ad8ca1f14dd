package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

// storedRow is a stored delivery of the API.
type storedRow struct {
	ID            string  `json:"id"`
	Endpoint      string  `json:"endpoint"`
	Key           string  `json:"key"`
	ReceivedAt    string  `json:"received_at"`
	Attempts      int     `json:"attempts"`
	NextAttemptAt *string `json:"next_attempt_at"`
	State         string  `json:"state"`
	LastError     *string `json:"last_error"`
	Note          *string `json:"note"`
	BodyBytes     int64   `json:"body_bytes"`
}

func (a *app) deadLetters() *cobra.Command {
	command := &cobra.Command{
		Use: "dead-letters", Short: "List, show, redeliver or discard webhooks and events of sinks that were given up", Args: cobra.NoArgs,
		Long: "Webhooks whose handler failed for good are kept whole. Once the handler is mended they are redelivered:\n" +
			"the handler is called as if they had just come, and what was recorded before is not recorded again.\n" +
			"Events that a sink has given up are kept with what was sent and answered, and are sent again with their id.",
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(a.listLetters(), a.showLetter(), a.redeliverLetters(), a.cancelRedelivery(), a.discardLetters())
	return command
}

func (a *app) listLetters() *cobra.Command {
	var c client
	var state, stream, from, to string
	var limit int
	var asJSON bool
	command := &cobra.Command{
		Use: "list <connection>", Short: "List the dead letters of a connection, newest first", Args: cobra.ExactArgs(1),
		Example: "  weir dead-letters list pay\n  weir dead-letters list pay --state kept",
		RunE: func(command *cobra.Command, args []string) error {
			if states := []string{"dead", "waiting", "kept", "discarded"}; !slices.Contains(states, state) {
				return wrongUsage(fmt.Errorf("--state is %q; it must be dead, waiting, kept or discarded", state))
			}
			if limit < 0 {
				return wrongUsage(fmt.Errorf("--limit is %d; give a number from 0 (no limit) up", limit))
			}
			resource, err := c.letters(command.Context(), args[0])
			if err != nil {
				return err
			}
			if resource == webhookLetters && stream+from+to != "" {
				return wrongUsage(errors.New("--stream, --from and --to are of sinks; the dead letters of webhooks are listed by --state"))
			}
			before := ""
			for printed := 0; ; {
				size := 500
				if limit > 0 {
					size = min(size, limit-printed)
				}
				query := url.Values{"state": {state}, "limit": {strconv.Itoa(size)}}
				for name, value := range map[string]string{"stream": stream, "from": from, "to": to} {
					if value != "" {
						query.Set(name, value)
					}
				}
				if before != "" {
					query.Set("before", before)
				}
				var page struct {
					Deliveries  []json.RawMessage `json:"deliveries"`
					DeadLetters []json.RawMessage `json:"dead_letters"`
					Next        *string           `json:"next"`
				}
				if err := c.call(command.Context(), http.MethodGet, c.path("connections", args[0], resource), query, &page); err != nil {
					return err
				}
				page.Deliveries = append(page.Deliveries, page.DeadLetters...)
				for _, raw := range page.Deliveries {
					if err := a.printLetter(raw, asJSON, resource); err != nil {
						return err
					}
				}
				printed += len(page.Deliveries)
				if page.Next == nil || (limit > 0 && printed >= limit) {
					if printed == 0 && !asJSON {
						a.notef("%s has no dead letters in state %s\n", args[0], state)
					}
					return nil
				}
				before = *page.Next
			}
		},
	}
	c.flags(command)
	command.Flags().StringVar(&state, "state", "dead", "dead, waiting (for their next attempt), kept (handled) or discarded")
	command.Flags().StringVar(&stream, "stream", "", "of a sink: only those of this stream, <connection>.<key>")
	command.Flags().StringVar(&from, "from", "", "of a sink: only those given up at or after this date or time")
	command.Flags().StringVar(&to, "to", "", "of a sink: only those given up before this date or time")
	command.Flags().IntVar(&limit, "limit", 100, "print at most this many; 0 for all")
	command.Flags().BoolVar(&asJSON, "json", false, "print each as one JSON object a line")
	return command
}

func (a *app) printLetter(raw json.RawMessage, asJSON bool, resource string) error {
	if asJSON {
		a.printf("%s\n", raw)
		return nil
	}
	if resource == sinkLetters {
		return a.printSinkLetter(raw)
	}
	var d storedRow
	if err := json.Unmarshal(raw, &d); err != nil {
		return failed(fmt.Errorf("decode a delivery: %w", err))
	}
	why := ""
	for _, text := range []*string{d.LastError, d.Note} {
		if text != nil {
			why = "  " + strconv.QuoteToGraphic(*text)
		}
	}
	a.printf("%s  %s  %s  %d calls  %d bytes%s\n", d.ID, d.ReceivedAt, word(d.Endpoint), d.Attempts, d.BodyBytes, why)
	return nil
}

func (a *app) showLetter() *cobra.Command {
	var c client
	var body bool
	command := &cobra.Command{
		Use: "show <connection> <delivery>", Short: "Show one stored delivery with its header and body", Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			resource, err := c.letters(command.Context(), args[0])
			if err != nil {
				return err
			}
			if body && resource == sinkLetters {
				return wrongUsage(errors.New("--body is of webhooks; a dead letter of a sink holds its event"))
			}
			var raw json.RawMessage
			if err := c.call(command.Context(), http.MethodGet, c.path("connections", args[0], resource, args[1]), nil, &raw); err != nil {
				return err
			}
			var d struct {
				Body         string `json:"body"`
				BodyEncoding string `json:"body_encoding"`
			}
			if !body {
				a.printf("%s\n", raw)
				return nil
			}
			if err := json.Unmarshal(raw, &d); err != nil {
				return failed(fmt.Errorf("decode the delivery: %w", err))
			}
			bytes := []byte(d.Body)
			if d.BodyEncoding == "base64" {
				var err error
				if bytes, err = base64.StdEncoding.DecodeString(d.Body); err != nil {
					return failed(fmt.Errorf("decode the body: %w", err))
				}
			}
			_, err = a.term.Out.Write(bytes)
			return err
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&body, "body", false, "print nothing but the body, byte for byte")
	return command
}

// rangeFlags select deliveries.
type rangeFlags struct {
	endpoint, stream, from, to, state string
	all                               bool
}

func (f *rangeFlags) register(command *cobra.Command, verb string) {
	flags := command.Flags()
	flags.StringVar(&f.endpoint, "endpoint", "", verb+" those of this endpoint")
	flags.StringVar(&f.stream, "stream", "", verb+" those of this stream of a sink, <connection>.<key>")
	flags.StringVar(&f.from, "from", "", verb+" those received at or after this time or date")
	flags.StringVar(&f.to, "to", "", verb+" those received before this time or date")
	flags.BoolVar(&f.all, "all", false, verb+" all of the connection")
	flags.StringVar(&f.state, "state", "dead", "dead, kept for those that were handled, or waiting for one delivery that waits")
}

func (f *rangeFlags) query(args []string) (url.Values, error) {
	query := url.Values{"state": {f.state}}
	for name, value := range map[string]string{"endpoint": f.endpoint, "stream": f.stream, "from": f.from, "to": f.to} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(args) > 1 {
		query.Set("id", args[1])
	}
	if f.all {
		query.Set("all", "true")
	}
	if len(query) == 1 {
		return nil, wrongUsage(errors.New("name a dead letter, --endpoint, --stream, --from, --to, or --all"))
	}
	return query, nil
}

type changedLetters struct {
	Deliveries  int    `json:"deliveries"`
	DeadLetters int    `json:"dead_letters"`
	Redelivery  string `json:"redelivery"`
}

// changeLetters has the selected dead letters changed, and says how many, and what
// goes on with them.
func (a *app) changeLetters(ctx context.Context, c *client, f *rangeFlags, connection, verb string, query url.Values, payload []byte) (n int, redelivery string, err error) {
	resource, err := c.letters(ctx, connection)
	if err != nil {
		return 0, "", err
	}
	if resource == sinkLetters {
		if f.endpoint != "" || f.state != "dead" {
			return 0, "", wrongUsage(errors.New("--endpoint and --state are of webhooks; name a dead letter of a sink, --stream, --from, --to, or --all"))
		}
		query.Del("state")
	} else if payload != nil || f.stream != "" {
		return 0, "", wrongUsage(errors.New("--payload and --stream are of sinks; a webhook is handled as it came"))
	}
	var out changedLetters
	err = c.send(ctx, http.MethodPost, c.path("connections", connection, resource, verb), query, payload, &out)
	return out.Deliveries + out.DeadLetters, out.Redelivery, err
}

func (a *app) cancelRedelivery() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "cancel <sink> <redelivery>", Short: "End a redelivery of many; those that had no turn stay dead letters", Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], "redeliveries", args[1], "cancel"), nil, false)
		},
	}
	c.flags(command)
	return command
}

func (a *app) redeliverLetters() *cobra.Command {
	var c client
	var f rangeFlags
	var rate float64
	var payload string
	command := &cobra.Command{
		Use: "redeliver <connection> [delivery]", Short: "Have one, some or all dead letters handled or sent again", Args: cobra.RangeArgs(1, 2),
		Example: "  weir dead-letters redeliver pay --all --rate 10\n  weir dead-letters redeliver pay --state kept --from 2026-03-01 --to 2026-03-02",
		RunE: func(command *cobra.Command, args []string) error {
			query, err := f.query(args)
			if err != nil {
				return err
			}
			if rate > 0 {
				query.Set("rate", strconv.FormatFloat(rate, 'f', -1, 64))
			}
			var edited []byte
			if payload != "" {
				if len(args) < 2 {
					return wrongUsage(errors.New("--payload replaces that of one dead letter; name it"))
				}
				if edited, err = readPayload(payload, a.term.In); err != nil {
					return err
				}
			}
			n, redelivery, err := a.changeLetters(command.Context(), &c, &f, args[0], "redeliver", query, edited)
			if err != nil {
				return err
			}
			a.printf("%d to be handled again\n", n)
			if redelivery != "" {
				a.printf("%s  weir offsets %s shows how far it is; weir dead-letters cancel %s %s ends it\n", redelivery, args[0], args[0], redelivery)
			}
			return nil
		},
	}
	c.flags(command)
	f.register(command, "redeliver")
	command.Flags().StringVar(&payload, "payload", "", "of a sink: a file with the JSON to send in place of the event's data; - reads standard input")
	command.Flags().Float64Var(&rate, "rate", 0, "at most this many a second; 0 for as fast as they are handled")
	return command
}

// maxPayload bounds the payload of a dead letter that was edited.
const maxPayload = 1 << 20

// readPayload reads the file of --payload.
func readPayload(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, wrongUsage(fmt.Errorf("--payload: %w", err))
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	payload, err := io.ReadAll(io.LimitReader(in, maxPayload+1))
	switch {
	case err != nil:
		return nil, failed(fmt.Errorf("read %s: %w", name, err))
	case len(payload) > maxPayload:
		return nil, wrongUsage(fmt.Errorf("--payload: %s has more than %d bytes", name, maxPayload))
	case !json.Valid(payload):
		return nil, wrongUsage(fmt.Errorf("--payload: %s is no JSON", name))
	}
	return payload, nil
}

func (a *app) discardLetters() *cobra.Command {
	var c client
	var f rangeFlags
	var reason string
	command := &cobra.Command{
		Use: "discard <connection> [delivery]", Short: "Settle one, some or all dead letters with a reason", Args: cobra.RangeArgs(1, 2),
		Long: "Settle dead letters with a reason. Header and body of webhooks, also of handled ones that are kept, are erased;\n" +
			"they cannot be brought back, and for 30 days the list says that they were there. Dead letters of a sink are kept\n" +
			"apart, and list --state discarded shows them.",
		Example: "  weir dead-letters discard pay dlv_06h02v7t85 --reason \"a test of the provider\"",
		RunE: func(command *cobra.Command, args []string) error {
			query, err := f.query(args)
			if err != nil {
				return err
			}
			if reason == "" {
				return wrongUsage(errors.New("say with --reason why they are erased; the list shows it"))
			}
			query.Set("reason", reason)
			n, _, err := a.changeLetters(command.Context(), &c, &f, args[0], "discard", query, nil)
			if err != nil {
				return err
			}
			a.printf("%d discarded\n", n)
			return nil
		},
	}
	c.flags(command)
	f.register(command, "discard")
	command.Flags().StringVar(&reason, "reason", "", "why; required")
	return command
}
