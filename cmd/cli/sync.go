package cli

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) sync() *cobra.Command {
	var c client
	var from, to, cursor string
	var asJSON, once bool
	var wait time.Duration
	command := &cobra.Command{
		Use: "sync <connection> <stream>", Short: "Sync a stream now, page by page", Args: cobra.ExactArgs(2),
		Long: "Sync a stream now, page by page, until there is no more. Without --from, --to and --cursor it\n" +
			"goes on at the saved checkpoint and moves it. With any of them it records events only.\n" +
			"While a run of the schedule reads the stream, it waits for its turn, at most as long as --wait says.",
		RunE: func(command *cobra.Command, args []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"from": from, "to": to, "cursor": cursor} {
				if value != "" {
					query.Set(name, value)
				}
			}
			ranged := len(query) > 0
			seen := map[[sha256.Size]byte]bool{}
			for page := 1; ; page++ {
				raw, err := a.syncPage(command.Context(), &c, args[0], args[1], query, wait)
				if err != nil {
					return err
				}
				var answer struct {
					Cursor     json.RawMessage `json:"cursor"`
					HasMore    bool            `json:"hasMore"`
					Emitted    int             `json:"emitted"`
					Duplicates int             `json:"duplicates"`
				}
				if err := json.Unmarshal(raw, &answer); err != nil {
					return failed(err)
				}
				if asJSON {
					a.printf("%s\n", raw)
				} else {
					a.printf("page %d: %d emitted, %d duplicates\n", page, answer.Emitted, answer.Duplicates)
				}
				if !answer.HasMore || once {
					return nil
				}
				place := sha256.Sum256(answer.Cursor)
				if seen[place] {
					return failed(fmt.Errorf("after page %d the cursor is where it was before; the connector would never come to an end", page))
				}
				seen[place] = true
				if ranged {
					query.Set("cursor", string(answer.Cursor))
				}
			}
		},
	}
	c.flags(command)
	command.Flags().StringVar(&from, "from", "", "start of the range, RFC 3339 or a date")
	command.Flags().StringVar(&to, "to", "", "end of the range, RFC 3339 or a date")
	command.Flags().StringVar(&cursor, "cursor", "", "cursor to start at, as JSON")
	command.Flags().BoolVar(&asJSON, "json", false, "print each page's answer")
	command.Flags().BoolVar(&once, "once", false, "run one page only")
	command.Flags().DurationVar(&wait, "wait", 10*time.Minute, "how long to wait for a run that is reading the stream; 0 fails at once")
	return command
}

// busyPause is the wait before a busy stream is asked for again.
const busyPause = time.Second

// syncPage reads one page. A run of the schedule that is going on moves the same
// checkpoint: it is waited for, and what it leaves is read.
func (a *app) syncPage(ctx context.Context, c *client, connection, stream string, query url.Values, wait time.Duration) (raw json.RawMessage, err error) {
	for began, said := time.Now(), false; ; said = true {
		err := c.call(ctx, http.MethodPost, c.path("connections", connection, "sync", stream), query, &raw)
		if !isBusy(err) || time.Since(began) >= wait {
			return raw, err
		}
		if !said {
			a.notef("%v; waiting for it\n", err)
		}
		select {
		case <-ctx.Done():
			return nil, failed(errors.New("interrupted"))
		case <-time.After(busyPause):
		}
	}
}

// isBusy reports that the server refused because the stream is being read.
func isBusy(err error) bool {
	p, ok := errors.AsType[problem](err)
	return ok && p.Code == "busy"
}
