//go:build generated

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	_ "github.com/oapi-codegen/runtime" // what is generated needs it

	"github.com/weirhq/weir/tools/foreign/apiclient/client"
)

func main() {
	if err := drive(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("driven")
}

// answered is what every generated response has.
type answered interface {
	StatusCode() int
	GetBody() []byte
}

// want fails unless a call was answered with status.
func want(what string, status int, r answered, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if r.StatusCode() != status {
		return fmt.Errorf("%s: %d instead of %d: %s", what, r.StatusCode(), status, r.GetBody())
	}
	return nil
}

func at[T any](v T) *T { return &v }

// drive makes a webhook in its flat form against target, changes it, and takes it
// away again.
func drive(ctx context.Context, server, target string) error {
	c, err := client.NewClientWithResponses(server)
	if err != nil {
		return err
	}
	flat := client.Webhook{
		Type: "webhook", Name: "notify", FullUrl: target, HttpMethod: at(client.WebhookHttpMethod("POST")), Timeout: at(float32(3)),
		HeaderList: &[]struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		}{{"X-Key", "canary-0123456789"}},
		Labels: &map[string]string{"team": "shop"},
	}
	var body client.ConnectionWrite
	if err := body.FromWebhook(flat); err != nil {
		return err
	}
	valid, err := c.ValidateConnectionWithResponse(ctx, "default", "notify", nil, body)
	if err := want("validate", http.StatusOK, valid, err); err != nil {
		return err
	}
	made, err := c.CreateConnectionWithResponse(ctx, "default", "notify", nil, body)
	if err := want("create", http.StatusOK, made, err); err != nil {
		return err
	}
	again, err := c.CreateConnectionWithResponse(ctx, "default", "notify", nil, body)
	if err := want("create again", http.StatusConflict, again, err); err != nil {
		return err
	}
	if again.ApplicationproblemJSON409 == nil || again.ApplicationproblemJSON409.Code == "" {
		return fmt.Errorf("create again: no problem was decoded of %s", again.GetBody())
	}
	read, err := c.GetConnectionWithResponse(ctx, "default", "notify")
	if err := want("get", http.StatusOK, read, err); err != nil {
		return err
	}
	shown, err := read.JSON200.AsShownWebhook()
	if err != nil {
		return err
	}
	if shown.FullUrl != target || (*shown.HeaderList)[0].Value != "***" || shown.DeployedRevision != 1 {
		return fmt.Errorf("get: %s", read.GetBody())
	}
	tag := read.HTTPResponse.Header.Get("ETag")

	verdict, err := c.TestConnectionWithResponse(ctx, "default", "notify", nil)
	if err := want("test", http.StatusOK, verdict, err); err != nil {
		return err
	}
	if !verdict.JSON200.Ok {
		return fmt.Errorf("test: %s", verdict.GetBody())
	}

	// Another revision, saved first and deployed then; the secret stays.
	flat.HttpMethod, flat.DeployToWorker = at(client.WebhookHttpMethod("PUT")), at(false)
	(*flat.HeaderList)[0].Value = "***"
	if err := body.FromWebhook(flat); err != nil {
		return err
	}
	draft, err := c.ReplaceConnectionWithResponse(ctx, "default", "notify", &client.ReplaceConnectionParams{IfMatch: &tag}, body)
	if err := want("replace", http.StatusOK, draft, err); err != nil {
		return err
	}
	stale, err := c.ReplaceConnectionWithResponse(ctx, "default", "notify", &client.ReplaceConnectionParams{IfMatch: &tag}, body)
	if err := want("replace with a stale tag", http.StatusPreconditionFailed, stale, err); err != nil {
		return err
	}
	deployed, err := c.DeployConnectionWithResponse(ctx, "default", "notify", nil)
	if err := want("deploy", http.StatusOK, deployed, err); err != nil {
		return err
	}
	back, err := c.RollbackConnectionWithResponse(ctx, "default", "notify", &client.RollbackConnectionParams{Revision: 1})
	if err := want("roll back", http.StatusOK, back, err); err != nil {
		return err
	}
	history, err := c.ListRevisionsWithResponse(ctx, "default", "notify", nil)
	if err := want("history", http.StatusOK, history, err); err != nil {
		return err
	}
	if len(history.JSON200.Revisions) < 2 {
		return fmt.Errorf("history: %s", history.GetBody())
	}

	paused, err := c.PauseConnectionWithResponse(ctx, "default", "notify", nil)
	if err := want("pause", http.StatusOK, paused, err); err != nil {
		return err
	}
	stopped, err := c.StopConnectionWithResponse(ctx, "default", "notify", nil)
	if err := want("stop", http.StatusOK, stopped, err); err != nil {
		return err
	}
	resumed, err := c.ResumeConnectionWithResponse(ctx, "default", "notify", nil)
	if err := want("resume", http.StatusOK, resumed, err); err != nil {
		return err
	}
	list, err := c.ListConnectionsWithResponse(ctx, "default", nil)
	if err := want("list", http.StatusOK, list, err); err != nil {
		return err
	}
	if len(list.JSON200.Connections) != 1 {
		return fmt.Errorf("list: %s", list.GetBody())
	}
	flat.FullUrl = "ftp://example.com/"
	if err := body.FromWebhook(flat); err != nil {
		return err
	}
	refused, err := c.ReplaceConnectionWithResponse(ctx, "default", "notify", nil, body)
	if err := want("replace with a wrong URL", http.StatusUnprocessableEntity, refused, err); err != nil {
		return err
	}
	gone, err := c.DeleteConnectionWithResponse(ctx, "default", "notify", nil)
	if err := want("delete", http.StatusOK, gone, err); err != nil {
		return err
	}
	missing, err := c.GetConnectionWithResponse(ctx, "default", "notify")
	return want("get what is gone", http.StatusNotFound, missing, err)
}
