package cli

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) pause() *cobra.Command {
	return a.pauseOrResume("pause", "Stop the polls of a stream, or of a whole connection",
		"Stop the polls of a stream, or of all streams of a connection, until they are resumed, also after a\n"+
			"restart. A run that goes on ends after its page, backfills of the stream wait. Webhooks are taken all the same.", "paused")
}

func (a *app) resume() *cobra.Command {
	return a.pauseOrResume("resume", "Start the polls of a stream or connection again",
		"Start the polls of a stream, or of all streams of a connection, again: after a pause, or after a\n"+
			"quarantine. What became due in the meantime runs at once.", "resumed")
}

func (a *app) pauseOrResume(verb, short, long, done string) *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: verb + " <connection> [stream]", Short: short, Long: long, Args: cobra.RangeArgs(1, 2),
		RunE: func(command *cobra.Command, args []string) error {
			args, err := oneOrAll(args)
			if err != nil {
				return err
			}
			path, what := c.path("connections", args[0], verb), "all polls of "+args[0]
			if len(args) == 2 {
				path, what = c.path("connections", args[0], "streams", args[1], verb), args[0]+"."+args[1]
			}
			var answer map[string]json.RawMessage
			if err := c.call(command.Context(), http.MethodPost, path, nil, &answer); err != nil {
				return err
			}
			if _, sink := answer["offsets"]; sink {
				what = args[0] // which has no polls
			}
			a.printf("%s: %s\n", what, done)
			return nil
		},
	}
	c.flags(command)
	return command
}
