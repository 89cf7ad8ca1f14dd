package cli

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) reset() *cobra.Command {
	var c client
	var yes bool
	command := &cobra.Command{
		Use: "reset <connection> <stream>", Short: "Forget the checkpoint of a stream", Args: cobra.ExactArgs(2),
		Long: "Forget the checkpoint of a polled stream: its next run reads from the beginning. Events and keys stay,\n" +
			"so what was recorded before is not recorded again.",
		RunE: func(command *cobra.Command, args []string) error {
			if !yes {
				return wrongUsage(errors.New("a reset makes the next run read everything again; say --yes if that is meant"))
			}
			var view json.RawMessage
			if err := c.call(command.Context(), http.MethodPost, c.path("connections", args[0], "streams", args[1], "reset"), nil, &view); err != nil {
				return err
			}
			a.printf("%s.%s reads from the beginning in its next run\n", args[0], args[1])
			return nil
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&yes, "yes", false, "do it")
	return command
}
