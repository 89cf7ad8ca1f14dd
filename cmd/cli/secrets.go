package cli

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/framework/seal"
)

func (a *app) secrets() *cobra.Command {
	command := &cobra.Command{
		Use: "secrets", Short: "Keys that seal the secrets of connections", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	command.AddCommand(a.generateKey(), a.rotateKey())
	return command
}

func (a *app) generateKey() *cobra.Command {
	return &cobra.Command{
		Use: "generate-key", Short: "Print a new key", Args: cobra.NoArgs,
		Long: "Print a new random key for WEIR_SECRET_KEY or the file of secrets.key_file. Keep a copy of it apart from the\n" +
			"backups of the store: without it, what it sealed is lost.",
		Example: "  weir secrets generate-key > weir.key && chmod 600 weir.key",
		RunE: func(*cobra.Command, []string) error {
			a.printf("%s\n", seal.NewKey())
			return nil
		},
	}
}

func (a *app) rotateKey() *cobra.Command {
	var c client
	command := &cobra.Command{
		Use: "rotate-key", Short: "Seal every kept secret with the first key", Args: cobra.NoArgs,
		Long: "Seal every secret that the store keeps with the first of the server's keys, while it runs. What was done\n" +
			"stays done: after an interruption, run it again. It fails when a secret does not open, and names it; the others\n" +
			"are sealed all the same. When it has succeeded, the other keys may be removed.",
		RunE: func(command *cobra.Command, _ []string) error {
			query := url.Values{}
			var revisions, secrets, resealed, broken int
			for {
				var out struct {
					KeyID     string   `json:"key_id"`
					Revisions int      `json:"revisions"`
					Secrets   int      `json:"secrets"`
					Resealed  int      `json:"resealed"`
					Failed    []string `json:"failed"`
					Next      *string  `json:"next"`
				}
				if err := c.call(command.Context(), http.MethodPost, "/api/v1/secrets/rotate", query, &out); err != nil {
					return err
				}
				revisions, secrets, resealed, broken = revisions+out.Revisions, secrets+out.Secrets, resealed+out.Resealed, broken+len(out.Failed)
				for _, f := range out.Failed {
					a.notef("%s\n", f)
				}
				if out.Next == nil {
					a.printf("%d secrets in %d revisions; %d were sealed anew with key %s\n", secrets, revisions, resealed, out.KeyID)
					break
				}
				query.Set("page_token", *out.Next)
			}
			if broken > 0 {
				return failed(fmt.Errorf("%d revisions hold secrets that do not open; keep every key, and write those secrets again", broken))
			}
			return nil
		},
	}
	c.serverFlags(command)
	return command
}
