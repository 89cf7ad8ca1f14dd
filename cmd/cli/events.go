package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

func (a *app) events() *cobra.Command {
	var c client
	var asJSON, follow bool
	var after, epoch int64
	var limit int
	command := &cobra.Command{
		Use: "events <connection> <stream>", Short: "Print recorded events", Args: cobra.ExactArgs(2),
		Example: "  weir events demo customers\n  weir events demo orders --follow --json",
		RunE: func(command *cobra.Command, args []string) error {
			if limit < 0 {
				return wrongUsage(fmt.Errorf("--limit is %d; give a number from 0 (no limit) up", limit))
			}
			printed := 0
			for {
				size := 500
				if limit > 0 {
					size = min(size, limit-printed)
				}
				page := struct {
					Epoch  int64             `json:"epoch"`
					Events []json.RawMessage `json:"events"`
					Next   *string           `json:"next"`
				}{}
				query := url.Values{"limit": {strconv.Itoa(size)}}
				if after >= 0 {
					query.Set("after", strconv.FormatInt(after, 10))
				}
				// A store that is restored meanwhile is not read on as if nothing had happened.
				if epoch > 0 {
					query.Set("epoch", strconv.FormatInt(epoch, 10))
				}
				if err := c.call(command.Context(), http.MethodGet, c.path("connections", args[0], "streams", args[1], "events"), query, &page); err != nil {
					return err
				}
				epoch = page.Epoch
				for _, event := range page.Events {
					sequence, err := a.printEvent(event, asJSON)
					if err != nil {
						return err
					}
					after = max(after, sequence)
					printed++
				}
				switch {
				case limit > 0 && printed >= limit:
					return nil
				case page.Next != nil: // a page of large events may be shorter than was asked
				case !follow:
					return nil
				default:
					select {
					case <-command.Context().Done():
						return nil
					case <-time.After(time.Second):
					}
				}
			}
		},
	}
	command.AddCommand(a.erase())
	c.flags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print each event as one CloudEvents object a line")
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events until interrupted")
	command.Flags().Int64Var(&after, "after", -1, "start after this sequence (default: at the first event that is kept)")
	command.Flags().IntVar(&limit, "limit", 0, "print at most this many events; 0 for all")
	return command
}

func (a *app) printEvent(event json.RawMessage, asJSON bool) (sequence int64, err error) {
	var e struct {
		Sequence  int64           `json:"weirsequence"`
		Time      string          `json:"time"`
		Type      string          `json:"type"`
		Subject   string          `json:"subject"`
		Operation string          `json:"weiroperation"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return 0, failed(fmt.Errorf("decode an event: %w", err))
	}
	if asJSON {
		a.printf("%s\n", event)
		return e.Sequence, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Data); err != nil && len(e.Data) > 0 {
		return 0, failed(fmt.Errorf("decode the payload of event %d: %w", e.Sequence, err))
	}
	data := compact.String()
	if len(data) > 120 {
		data = strings.ToValidUTF8(data[:120], "") + "…"
	}
	a.printf("%6d  %s  %-6s  %s  %s  %s\n", e.Sequence, e.Time, e.Operation, word(e.Type), word(e.Subject), data)
	return e.Sequence, nil
}

// word quotes a text that would not stand as one word on its line.
func word(s string) string {
	if s == "" || strings.ContainsFunc(s, unicode.IsSpace) {
		return strconv.Quote(s)
	}
	return s
}
