package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// resources of dead letters in the API: of webhooks that came in, and of sinks.
const (
	webhookLetters = "deliveries"
	sinkLetters    = "dead-letters"
)

// letters says which dead letters a connection has.
func (c *client) letters(ctx context.Context, connection string) (string, error) {
	var page struct {
		Connections []struct{ ID, Name, Type string } `json:"connections"`
	}
	if err := c.call(ctx, http.MethodGet, c.path("connections"), url.Values{"limit": {"1000"}}, &page); err != nil {
		return "", err
	}
	for _, one := range page.Connections {
		if (one.Name == connection || one.ID == connection) && one.Type == "sink" {
			return sinkLetters, nil
		}
	}
	return webhookLetters, nil
}

// sinkLetterRow is a dead letter of a sink.
type sinkLetterRow struct {
	ID       string  `json:"id"`
	Stream   string  `json:"stream"`
	Sequence int64   `json:"sequence"`
	Reason   string  `json:"reason"`
	Attempts int     `json:"attempts"`
	DeadAt   string  `json:"dead_at"`
	Note     *string `json:"note"`
}

func (a *app) printSinkLetter(raw json.RawMessage) error {
	var d sinkLetterRow
	if err := json.Unmarshal(raw, &d); err != nil {
		return failed(fmt.Errorf("decode a dead letter: %w", err))
	}
	why := "  " + strconv.QuoteToGraphic(d.Reason)
	if d.Note != nil {
		why += "  " + strconv.QuoteToGraphic(*d.Note)
	}
	a.printf("%s  %s  %s  %d  %d attempts%s\n", d.ID, d.DeadAt, word(d.Stream), d.Sequence, d.Attempts, why)
	return nil
}

// sinkAnswer is what the API says of a sink.
type sinkAnswer struct {
	State       string  `json:"state"`
	Reason      *string `json:"reason"`
	DeadLetters int64   `json:"dead_letters"`
	Offsets     []struct {
		Stream    string  `json:"stream"`
		Next      int64   `json:"next"`
		Head      int64   `json:"head"`
		Lag       int64   `json:"lag"`
		Parked    int64   `json:"parked"`
		Delivered int64   `json:"delivered"`
		GivenUp   int64   `json:"dead_letters"`
		LastError *string `json:"last_error"`
	} `json:"offsets"`
	Replays []struct {
		ID     string `json:"id"`
		Stream string `json:"stream"`
		From   int64  `json:"from"`
		Next   int64  `json:"next"`
		To     int64  `json:"to"`
	} `json:"replays"`
	Redeliveries []struct {
		ID     string  `json:"id"`
		Stream *string `json:"stream"`
		Total  int     `json:"total"`
		Taken  int     `json:"taken"`
		Rate   float64 `json:"rate"`
	} `json:"redeliveries"`
}

func (a *app) offsets() *cobra.Command {
	var c client
	var asJSON bool
	command := &cobra.Command{
		Use: "offsets <sink>", Short: "Show how far a sink is, or move it", Args: cobra.ExactArgs(1),
		Long: "Show what a sink is doing and how far it has got in each of its streams: the next event to deliver, how many\n" +
			"are recorded and not delivered, how many are parked, and how many were delivered and given up so far. Dead letters\n" +
			"are what was given up and neither sent again nor discarded since.",
		Example: "  weir offsets out\n  weir offsets stop out && weir offsets set out shop.orders earliest && weir offsets restart out\n" +
			"  weir offsets replay out shop.orders --from 2026-03-01 --to 2026-03-02",
		RunE: func(command *cobra.Command, args []string) error {
			return a.sinkCall(command.Context(), &c, http.MethodGet, c.path("connections", args[0], "offsets"), nil, asJSON)
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	command.AddCommand(a.setOffset(), a.skipEvents(), a.replayEvents(), a.cancelReplay(),
		a.stopSink(), a.restartSink())
	return command
}

func (a *app) sinkCall(ctx context.Context, c *client, method, path string, query url.Values, asJSON bool) error {
	var raw json.RawMessage
	if err := c.call(ctx, method, path, query, &raw); err != nil {
		return err
	}
	if asJSON {
		a.printf("%s\n", raw)
		return nil
	}
	var s sinkAnswer
	if err := json.Unmarshal(raw, &s); err != nil {
		return failed(fmt.Errorf("decode the answer: %w", err))
	}
	a.printf("%s", word(s.State))
	if s.Reason != nil {
		a.printf(": %s", strconv.QuoteToGraphic(*s.Reason))
	}
	if s.DeadLetters > 0 {
		a.printf("  dead letters %d", s.DeadLetters)
	}
	a.printf("\n")
	for _, o := range s.Offsets {
		a.printf("%s  next %d of %d  lag %d  delivered %d  parked %d  given up %d", word(o.Stream), o.Next, o.Head, o.Lag, o.Delivered, o.Parked, o.GivenUp)
		if o.LastError != nil {
			a.printf("  %s", strconv.QuoteToGraphic(*o.LastError))
		}
		a.printf("\n")
	}
	for _, r := range s.Redeliveries {
		of := "all streams"
		if r.Stream != nil {
			of = word(*r.Stream)
		}
		a.printf("%s  redelivers dead letters of %s, %d of %d taken", r.ID, of, r.Taken, r.Total)
		if r.Rate > 0 {
			a.printf(", %s a second", strconv.FormatFloat(r.Rate, 'g', 4, 64))
		}
		a.printf("\n")
	}
	for _, r := range s.Replays {
		a.printf("%s  replays %s from %d to %d, next %d\n", r.ID, word(r.Stream), r.From, r.To, r.Next)
	}
	return nil
}

func (a *app) stopSink() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "stop <sink>", Short: "Stop a sink, so that its offsets can be moved", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], "stop"), nil, false)
		},
	}
	c.flags(command)
	return command
}

func (a *app) restartSink() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "restart <sink>", Short: "Let a sink go on that was stopped, failed or was disabled: the event that failed is tried again", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			var s sinkAnswer
			if err := c.call(command.Context(), http.MethodGet, c.path("connections", args[0], "offsets"), nil, &s); err != nil {
				return err
			}
			verb := "restart"
			if s.State == "stopped" || s.State == "paused" {
				verb = "resume" // an operator has stopped it: it need only go on
			}
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], verb), nil, false)
		},
	}
	c.flags(command)
	return command
}

func (a *app) setOffset() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "set <sink> <stream> <sequence | time | earliest | latest>", Short: "Move a stopped sink in a stream", Args: cobra.ExactArgs(3),
		Long: "Move a stopped sink in a stream, given as <connection>.<key>. The sequence is that of the next event to\n" +
			"deliver: a smaller one delivers events again, a larger one leaves events out. A date or RFC 3339 time stands\n" +
			"for the first event that was recorded then or later. What is parked stays parked.",
		Example: "  weir offsets set out shop.orders 1200\n  weir offsets set out shop.orders 2026-03-01T08:00:00Z",
		RunE: func(command *cobra.Command, args []string) error {
			query := url.Values{"stream": {args[1]}, "to": {args[2]}}
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], "offsets"), query, false)
		},
	}
	c.flags(command)
	return command
}

func (a *app) skipEvents() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "skip <sink> <stream> [events]", Short: "Let a stopped sink leave out its next event, or some", Args: cobra.RangeArgs(2, 3),
		Example: "  weir offsets stop out && weir offsets skip out shop.orders && weir offsets restart out",
		RunE: func(command *cobra.Command, args []string) error {
			query := url.Values{"stream": {args[1]}, "skip": {"1"}}
			if len(args) > 2 {
				query.Set("skip", args[2])
			}
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], "offsets"), query, false)
		},
	}
	c.flags(command)
	return command
}

func (a *app) replayEvents() *cobra.Command {
	var c client
	var from, to string
	command := &cobra.Command{
		Use: "replay <sink> <stream>", Short: "Deliver a range of a stream to a sink again", Args: cobra.ExactArgs(2),
		Long: "Deliver events of a stream to one sink once more, with their ids. The sink's offset does not move, and what is\n" +
			"new goes on beside it. The range is given by sequences, the last of which is part of it, or by dates or RFC 3339\n" +
			"times of recording, the last of which is not. Without --to it reaches to what was delivered last.",
		Example: "  weir offsets replay out shop.orders --from 100 --to 250\n  weir offsets replay out shop.orders --from 2026-03-01 --to 2026-03-02",
		RunE: func(command *cobra.Command, args []string) error {
			if from == "" {
				return wrongUsage(errors.New("say with --from where the range begins: a sequence, a date or a time"))
			}
			query := url.Values{"stream": {args[1]}, "from": {from}}
			if to != "" {
				query.Set("to", to)
			}
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], "replays"), query, false)
		},
	}
	c.flags(command)
	command.Flags().StringVar(&from, "from", "", "the first event: its sequence, or a date or time of recording; required")
	command.Flags().StringVar(&to, "to", "", "the last event: its sequence, or the date or time of recording that ends the range")
	return command
}

func (a *app) cancelReplay() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "cancel-replay <sink> <replay>", Short: "End a replay", Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.sinkCall(command.Context(), &c, http.MethodPost, c.path("connections", args[0], "replays", args[1], "cancel"), nil, false)
		},
	}
	c.flags(command)
	return command
}
