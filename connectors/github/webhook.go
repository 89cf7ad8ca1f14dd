package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// Envelope is what the connector reads of a delivery.
type Envelope struct {
	Action     string          `json:"action"`
	Issue      json.RawMessage `json:"issue"`
	Repository json.RawMessage `json:"repository"`
}

var eventPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

// receive takes one delivery. Which event it is stands in a header only.
func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	event := d.Header.Get("X-GitHub-Event")
	if !eventPattern.MatchString(event) {
		return framework.Permanent(errors.New("X-GitHub-Event is missing or no event's name"))
	}
	body, err := payload(d)
	if err != nil {
		return framework.Permanent(err)
	}
	var record ingest.Record[Envelope]
	if err := record.UnmarshalJSON(body); err != nil {
		return framework.Permanent(fmt.Errorf("decode %s delivery: %w", event, err))
	}
	switch event {
	case "issues":
		return receiveIssue(d, record, out)
	case "repository":
		return receiveRepository(d, record, out)
	}
	return ingest.Canonical(out, Events, event, record, ingest.Options{IdempotencyKey: ingest.EventKey(d.Key)})
}

func receiveIssue(d *framework.Delivery, delivery ingest.Record[Envelope], out *ingest.Buffer) error {
	var issue ingest.Record[Issue]
	if err := issue.UnmarshalJSON(delivery.Value.Issue); err != nil || issue.Value.ID == 0 || delivery.Value.Action == "" {
		return framework.Permanent(errors.New("X-GitHub-Event says issues, and the body is no such event"))
	}
	id, updated := strconv.FormatInt(issue.Value.ID, 10), issue.Value.UpdatedAt
	if action := delivery.Value.Action; action == "deleted" || action == "transferred" {
		if err := onlyHas(delivery, "issue", "changes"); err != nil {
			return err
		}
		return ingest.Delete(out, Issues, "issue", gone(d, id, updated))
	}
	return ingest.Canonical(out, Issues, "issue", issue, ingest.Options{
		IdempotencyKey: version(d, id, updated), Time: updated.UTC(),
	})
}

func receiveRepository(d *framework.Delivery, delivery ingest.Record[Envelope], out *ingest.Buffer) error {
	var repository ingest.Record[Repository]
	if err := repository.UnmarshalJSON(delivery.Value.Repository); err != nil || repository.Value.ID == 0 || delivery.Value.Action == "" {
		return framework.Permanent(errors.New("X-GitHub-Event says repository, and the body is no such event"))
	}
	id, updated := strconv.FormatInt(repository.Value.ID, 10), repository.Value.UpdatedAt
	if delivery.Value.Action == "deleted" {
		if err := onlyHas(delivery); err != nil {
			return err
		}
		return ingest.Delete(out, Repositories, "repository", gone(d, id, updated))
	}
	return ingest.Canonical(out, Repositories, "repository", repository, ingest.Options{
		IdempotencyKey: version(d, id, updated), Time: updated.UTC(),
	})
}

// version tells apart the states of one second: the delivery's id does.
func version(d *framework.Delivery, id string, updated time.Time) ingest.Key {
	return ingest.VersionKey(id, updated.UTC().Format(time.RFC3339)+" "+d.Key)
}

// gone dates a deletion after every state that was or will still be read: GitHub
// does not say when it was, and the id never comes back.
func gone(d *framework.Delivery, id string, updated time.Time) ingest.Options {
	at := updated.Add(time.Second)
	if d.ReceivedAt.After(at) {
		at = d.ReceivedAt
	}
	return ingest.Options{IdempotencyKey: version(d, id, updated), Time: at.UTC()}
}

// onlyHas refuses a body with members that the event never has. The events of
// other things that belong to an issue or a repository, such as a deleted
// comment or star, differ from it by such a member alone.
func onlyHas(delivery ingest.Record[Envelope], members ...string) error {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(delivery.RawJSON(), &body); err != nil {
		return framework.Permanent(fmt.Errorf("decode delivery: %w", err))
	}
	members = append(members, "action", "repository", "organization", "enterprise", "installation", "sender")
	for name := range body {
		if !slices.Contains(members, name) {
			return framework.Permanent(fmt.Errorf("X-GitHub-Event does not agree with the body, which has %q; nothing is deleted", name))
		}
	}
	return nil
}

// payload returns the JSON of a delivery. Webhooks with the content type "form",
// which GitHub's page preselects, carry it in a field.
func payload(d *framework.Delivery) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(d.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return d.Body, nil
	}
	form, err := url.ParseQuery(string(d.Body))
	if err != nil {
		return nil, errors.New("the form cannot be read; choose application/json as the webhook's content type")
	}
	return []byte(form.Get("payload")), nil
}
