package cli

import "github.com/spf13/cobra"

// webhook is the parent of what is done with webhooks.
func (a *app) webhook() *cobra.Command {
	command := &cobra.Command{Use: "webhook", Short: "Send, verify and look at webhooks"}
	command.AddCommand(a.webhookSend(), a.webhookVerify())
	return command
}
