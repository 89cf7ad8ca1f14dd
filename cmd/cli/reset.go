package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) reset() *cobra.Command {
	var c client
	var yes bool
	var cursor, since string
	command := &cobra.Command{
		Use: "reset <connection> <stream>", Short: "Forget the checkpoint of a stream, or set it", Args: cobra.ExactArgs(2),
		Long: "Forget the checkpoint of a polled stream: its next run reads from the beginning, or from --cursor, or,\n" +
			"if the stream reads windows, from --since. Events and keys stay, so what was recorded before is not\n" +
			"recorded again.",
		RunE: func(command *cobra.Command, args []string) error {
			query, from := url.Values{}, "from the beginning"
			switch {
			case cursor != "" && since != "":
				return wrongUsage(errors.New("give --cursor or --since, not both"))
			case cursor != "":
				query.Set("cursor", cursor)
				from = "from the given cursor"
			case since != "":
				query.Set("since", since)
				from = "from " + since
			}
			if !yes {
				return wrongUsage(errors.New("a reset makes the next run read " + from + ", again if it was read before; say --yes if that is meant"))
			}
			var view json.RawMessage
			if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "streams", args[1], "reset"), query, &view); err != nil {
				return err
			}
			a.printf("%s.%s reads %s in its next run\n", args[0], args[1], from)
			return nil
		},
	}
	c.flags(command)
	command.Flags().StringVar(&cursor, "cursor", "", "cursor to go on at, as JSON")
	command.Flags().StringVar(&since, "since", "", "date or RFC 3339 time to go on at")
	command.Flags().BoolVar(&yes, "yes", false, "do it")
	return command
}
