package github

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/github"
	"github.com/weirhq/weir/ingest"
	"github.com/weirhq/weir/tools/foreign/need"
	"github.com/weirhq/weir/tools/foreign/receiver"
)

// examples counts the payloads of @octokit/webhooks-examples 7.6.1 by event. Those of issues and
// repository belong to the streams issues and repositories, all others to events.
var examples = map[string]int{
	"branch_protection_rule": 5, "check_run": 9, "check_suite": 9, "code_scanning_alert": 6, "commit_comment": 5,
	"create": 5, "delete": 4, "dependabot_alert": 3, "deploy_key": 2, "deployment": 4, "deployment_review": 1,
	"deployment_status": 4, "discussion": 15, "discussion_comment": 4, "fork": 3, "github_app_authorization": 2,
	"gollum": 3, "installation": 7, "installation_repositories": 3, "issue_comment": 9, "issues": 29, "label": 6,
	"marketplace_purchase": 4, "member": 4, "membership": 5, "merge_group": 2, "meta": 2, "milestone": 5,
	"org_block": 4, "organization": 5, "package": 3, "page_build": 3, "ping": 4, "project": 3, "project_card": 9,
	"project_column": 4, "projects_v2_item": 7, "public": 3, "pull_request": 29, "pull_request_review": 4,
	"pull_request_review_comment": 5, "pull_request_review_thread": 3, "push": 7, "release": 13,
	"repository": 13, "repository_dispatch": 2, "repository_import": 2, "repository_vulnerability_alert": 4,
	"security_advisory": 4, "sponsorship": 4, "star": 3, "status": 4, "team": 6, "team_add": 3, "watch": 3,
	"workflow_dispatch": 2, "workflow_job": 8, "workflow_run": 5,
}

const secret = "a secret of the webhook's own"

// payload is one example: an event and a body.
type payload struct {
	event, guid, signature string
	body                   []byte
}

// payloads are all examples, each with a delivery id of its own.
func payloads(t *testing.T) []payload {
	t.Helper()
	path := need.Tool(t, "payloads of @octokit/webhooks-examples", "../node_modules/@octokit/webhooks-examples/api.github.com/index.json")
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	var events []struct {
		Name     string            `json:"name"`
		Examples []json.RawMessage `json:"examples"`
	}
	require.NoError(t, json.Unmarshal(file, &events))
	var all []payload
	for _, e := range events {
		require.Len(t, e.Examples, examples[e.Name], e.Name)
		for i, body := range e.Examples {
			all = append(all, payload{e.Name, fmt.Sprintf("%s-%d", e.Name, i), sign(body), body})
		}
	}
	require.Len(t, all, 329)
	return all
}

func newReceiver(t *testing.T) *receiver.Receiver {
	t.Helper()
	settings := map[string]any{"repos": []string{"octo/hello"}, "webhook_secret": secret}
	return receiver.New(t, github.Plugin, settings, github.Inbox, secret)
}

// sign signs as GitHub documents it, without any code of Weir.
func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// answer is what intake says.
type answer struct {
	code   int
	Status string `json:"status"`
	Events *int   `json:"events"`
}

// send sends all payloads, several at a time, and returns the answers in order.
func send(t *testing.T, url string, all []payload) []answer {
	t.Helper()
	answers, errs := make([]answer, len(all)), make([]error, len(all))
	var wait sync.WaitGroup
	turn := make(chan struct{}, 16)
	for i, p := range all {
		wait.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			answers[i], errs[i] = post(t.Context(), url, p)
		})
	}
	wait.Wait()
	require.NoError(t, errors.Join(errs...))
	return answers
}

func post(ctx context.Context, url string, p payload) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(p.body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", p.event)
	request.Header.Set("X-GitHub-Delivery", p.guid)
	request.Header.Set("X-Hub-Signature-256", p.signature)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{code: response.StatusCode}
	return a, json.NewDecoder(response.Body).Decode(&a)
}

func TestEveryPayloadGoesToItsStreamOnce(t *testing.T) {
	t.Parallel()
	all, r := payloads(t), newReceiver(t)
	for i, a := range send(t, r.URL, all) {
		require.Equal(t, http.StatusOK, a.code, all[i].guid)
		require.Equal(t, "accepted", a.Status, all[i].guid)
		require.Equal(t, 1, *a.Events, all[i].guid)
	}
	want := map[string]int{"issues": 29, "repositories": 13, "events": 287}
	require.Equal(t, want, r.Counts(t))
	r.RequireNothingKept(t)

	byType := map[string]int{"issues": 29, "repository": 13}
	bodies := map[string]int{}
	for _, e := range r.Events(t, "events") {
		byType[e.Type]++
		bodies[e.Type+string(e.Payload)]++
	}
	require.Equal(t, examples, byType)
	for _, p := range all {
		if p.event != "issues" && p.event != "repository" {
			require.Positive(t, bodies[p.event+string(p.body)], "%s is recorded byte for byte", p.guid)
		}
	}
	for stream, deletions := range map[string]int{"issues": 2, "repositories": 0, "events": 0} {
		got := slices.DeleteFunc(r.Events(t, stream), func(e ingest.Event) bool { return e.Operation != ingest.Deletion })
		require.Len(t, got, deletions, "an issue was deleted, another transferred")
	}

	for i, a := range send(t, r.URL, all) {
		require.Equal(t, http.StatusOK, a.code, all[i].guid)
		require.Equal(t, "duplicate", a.Status, all[i].guid)
	}
	require.Equal(t, want, r.Counts(t), "sent again, they add nothing")
}

func TestACorruptedByteIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	all, r := payloads(t), newReceiver(t)
	for i := range all {
		all[i].body = bytes.Clone(all[i].body)
		all[i].body[(i*7919)%len(all[i].body)] ^= 1 << (i % 8)
	}
	for i, a := range send(t, r.URL, all) {
		require.Equal(t, http.StatusUnauthorized, a.code, all[i].guid)
	}
	require.Equal(t, map[string]int{"issues": 0, "repositories": 0, "events": 0}, r.Counts(t))
	r.RequireNothingKept(t)
}

func TestTheTableCountsEveryExample(t *testing.T) {
	t.Parallel()
	total := 0
	for n := range maps.Values(examples) {
		total += n
	}
	require.Equal(t, 329, total)
}
