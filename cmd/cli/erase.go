package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) erase() *cobra.Command {
	var c client
	var entity string
	var yes bool
	command := &cobra.Command{
		Use: "erase <connection> --entity ID", Short: "Blank what is known of an entity", Args: cobra.ExactArgs(1),
		Long: "Blank the payloads of all events of an entity of a connection, and every stored delivery and sink's copy\n" +
			"in which its id occurs. Sequences, ids and the memory of keys stay. It cannot be undone. What the provider\n" +
			"sends of the entity later is recorded: delete it there first.",
		Example: "  weir events erase shop --entity cus_42 --yes",
		RunE: func(command *cobra.Command, args []string) error {
			if entity == "" {
				return wrongUsage(errors.New("--entity is missing: the id of the entity, which is the subject of its events"))
			}
			if !yes {
				return wrongUsage(errors.New("an erasure cannot be undone; say --yes if it is meant"))
			}
			body, err := json.Marshal(map[string]string{"entity": entity})
			if err != nil {
				return failed(err)
			}
			var out struct {
				ID         string `json:"id"`
				Events     int    `json:"events"`
				Deliveries int    `json:"deliveries"`
				SinkCopies int    `json:"sink_copies"`
			}
			if err := c.send(command.Context(), http.MethodPost, c.path("connections", args[0], "erasures"), nil, body, &out); err != nil {
				return err
			}
			a.printf("%s: %d events blanked, %d stored deliveries and %d copies of sinks removed\n", out.ID, out.Events, out.Deliveries, out.SinkCopies)
			if out.Events == 0 {
				a.notef("%s", fmt.Sprintf("no event of the connection has the subject %s and a payload\n", word(entity)))
			}
			return nil
		},
	}
	c.flags(command)
	command.Flags().StringVar(&entity, "entity", "", "id of the entity: the subject of its events")
	command.Flags().BoolVar(&yes, "yes", false, "erase without asking")
	return command
}
