package github

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// Repository is what the connector reads of a repository.
type Repository struct {
	ID        int64     `json:"id"`
	FullName  string    `json:"full_name"`
	UpdatedAt time.Time `json:"updated_at"`
}

// repositoriesCursor is the place within a run. Every run reads all
// repositories, so nothing is kept from one to the next.
type repositoriesCursor struct {
	// Next is the address of the organization's next page, "" for its first.
	Next string `json:"next"`
	// OrgDone says that the organization was read.
	OrgDone bool `json:"org_done"`
	// Repo counts the configured repositories that were read.
	Repo int `json:"repo"`
}

func (c *client) syncRepositories(ctx context.Context, in framework.SyncRequest[repositoriesCursor], out *ingest.Buffer) (framework.SyncResult[repositoriesCursor], error) {
	cursor := in.Cursor
	var err error
	if c.settings.Org != "" && !cursor.OrgDone {
		cursor, err = c.orgPage(ctx, cursor, out)
	} else {
		cursor, err = c.configuredRepository(ctx, cursor, out)
	}
	if err != nil {
		return framework.SyncResult[repositoriesCursor]{}, err
	}
	if (c.settings.Org == "" || cursor.OrgDone) && cursor.Repo >= len(c.settings.Repos) {
		return framework.SyncResult[repositoriesCursor]{}, nil // the next run starts over
	}
	return framework.SyncResult[repositoriesCursor]{Cursor: cursor, HasMore: true}, nil
}

func (c *client) orgPage(ctx context.Context, cursor repositoriesCursor, out *ingest.Buffer) (repositoriesCursor, error) {
	address := cursor.Next
	if address == "" || !c.ours(address) {
		address = c.orgURL()
	}
	page, err := c.get(ctx, address)
	if err != nil {
		return cursor, err
	}
	var list []ingest.Record[Repository]
	if err := page.Decode(&list); err != nil {
		return cursor, err
	}
	for _, r := range list {
		if err := emitRepository(out, r, page.ReadAt); err != nil {
			return cursor, err
		}
	}
	return repositoriesCursor{Next: page.next, OrgDone: page.next == ""}, nil
}

func (c *client) configuredRepository(ctx context.Context, cursor repositoriesCursor, out *ingest.Buffer) (repositoriesCursor, error) {
	next := repositoriesCursor{OrgDone: true, Repo: cursor.Repo + 1}
	if cursor.Repo >= len(c.settings.Repos) {
		return next, nil // the settings name fewer than when the cursor was saved
	}
	name := c.settings.Repos[cursor.Repo]
	page, err := c.get(ctx, c.url("/repos/"+name, nil))
	if errors.Is(err, errNotFound) {
		c.notReadable(name, err)
		return next, nil
	}
	if err != nil {
		return cursor, err
	}
	var r ingest.Record[Repository]
	if err := page.Decode(&r); err != nil {
		return cursor, err
	}
	return next, emitRepository(out, r, page.ReadAt)
}

func emitRepository(out *ingest.Buffer, r ingest.Record[Repository], readAt time.Time) error {
	return ingest.Canonical(out, Repositories, "repository", r, ingest.Options{
		IdempotencyKey: ingest.LatestKey(strconv.FormatInt(r.Value.ID, 10)), Time: readAt,
	})
}
