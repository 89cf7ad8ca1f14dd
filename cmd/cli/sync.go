package cli

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) sync() *cobra.Command {
	var c client
	var from, to, cursor string
	var asJSON, once bool
	command := &cobra.Command{
		Use: "sync <connection> <stream>", Short: "Sync a stream now, page by page", Args: cobra.ExactArgs(2),
		Long: "Sync a stream now, page by page, until there is no more. Without --from, --to and --cursor it\n" +
			"goes on at the saved checkpoint and moves it. With any of them it records events only.",
		RunE: func(command *cobra.Command, args []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"from": from, "to": to, "cursor": cursor} {
				if value != "" {
					query.Set(name, value)
				}
			}
			ranged := len(query) > 0
			for page := 1; ; page++ {
				var raw json.RawMessage
				if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "sync", args[1]), query, &raw); err != nil {
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
	return command
}
