package github

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strconv"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// Issue is what the connector reads of an issue.
type Issue struct {
	ID        int64     `json:"id"`
	UpdatedAt time.Time `json:"updated_at"`
	// PullRequest is set on issues that are pull requests.
	PullRequest *struct{} `json:"pull_request"`
}

// overlap is how far a run reaches back before the position of a repository,
// for updates that become visible late.
const overlap = 5 * time.Minute

// issuesCursor is where the issues of each repository were read to. Times are
// Unix seconds on GitHub's clock.
type issuesCursor struct {
	// Positions has, by the repository's full name, the updated_at of the last
	// issue that was read.
	Positions map[string]int64 `json:"positions"`
	// Pending are the repositories that this run has still to read, the one
	// that is being read first.
	Pending []string `json:"pending"`
	// Since is from when the next page is asked for.
	Since int64 `json:"since"`
	// Next is the address of the next page where Since cannot be moved,
	// because a whole page was updated in one second.
	Next string `json:"next"`
}

func (c *client) syncIssues(ctx context.Context, in framework.SyncRequest[issuesCursor], out *ingest.Buffer) (framework.SyncResult[issuesCursor], error) {
	cursor := in.Cursor
	if len(cursor.Pending) == 0 {
		names, err := c.repositories(ctx)
		if err != nil {
			return framework.SyncResult[issuesCursor]{}, err
		}
		cursor = cursor.begin(names)
		if len(names) == 0 {
			return framework.SyncResult[issuesCursor]{Cursor: cursor}, nil
		}
	}
	repo := cursor.Pending[0]
	page, err := c.get(ctx, c.issuesURL(repo, cursor))
	if errors.Is(err, errNotFound) {
		c.notReadable(repo, err)
		cursor = cursor.leave(cursor.Positions[repo])
		return framework.SyncResult[issuesCursor]{Cursor: cursor, HasMore: len(cursor.Pending) > 0}, nil
	}
	if err != nil {
		return framework.SyncResult[issuesCursor]{}, err
	}
	var issues []ingest.Record[Issue]
	if err := page.Decode(&issues); err != nil {
		return framework.SyncResult[issuesCursor]{}, err
	}
	last := max(cursor.Positions[repo], cursor.Since)
	more := page.next != ""
	for _, issue := range issues {
		updated := issue.Value.UpdatedAt
		if updated.After(page.ReadAt) {
			// Its second had not ended: another change of that second would
			// have the same version. The next run reads it.
			more = false
			break
		}
		last = max(last, updated.Unix())
		if issue.Value.PullRequest != nil {
			continue
		}
		if err := ingest.Canonical(out, Issues, "issue", issue, ingest.Options{
			IdempotencyKey: ingest.VersionKey(strconv.FormatInt(issue.Value.ID, 10), updated.UTC().Format(time.RFC3339)),
			Time:           endOfSecond(updated),
		}); err != nil {
			return framework.SyncResult[issuesCursor]{}, err
		}
	}
	switch {
	case !more:
		cursor = cursor.leave(last)
	case last-1 > cursor.Since:
		// One second back, whether or not GitHub counts "since" itself in.
		cursor.Since, cursor.Next = last-1, ""
	default:
		cursor.Next = page.next
	}
	return framework.SyncResult[issuesCursor]{Cursor: cursor, HasMore: len(cursor.Pending) > 0}, nil
}

// begin starts a run over the named repositories. The positions of others are
// forgotten.
func (c issuesCursor) begin(names []string) issuesCursor {
	positions := make(map[string]int64, len(names))
	for _, name := range names {
		positions[name] = c.Positions[name]
	}
	next := issuesCursor{Positions: positions, Pending: names}
	next.Since = next.start()
	return next
}

// leave ends the first pending repository at the given position.
func (c issuesCursor) leave(position int64) issuesCursor {
	positions := make(map[string]int64, len(c.Positions))
	maps.Copy(positions, c.Positions)
	positions[c.Pending[0]] = position
	next := issuesCursor{Positions: positions, Pending: c.Pending[1:]}
	next.Since = next.start()
	return next
}

func (c issuesCursor) start() int64 {
	if len(c.Pending) == 0 {
		return 0
	}
	return max(0, c.Positions[c.Pending[0]]-int64(overlap/time.Second))
}

func (c *client) issuesURL(repo string, cursor issuesCursor) string {
	if cursor.Next != "" && c.ours(cursor.Next) {
		return cursor.Next
	}
	query := url.Values{
		"state": {"all"}, "sort": {"updated"}, "direction": {"asc"}, "per_page": {strconv.Itoa(perPage)},
	}
	if cursor.Since > 0 {
		query.Set("since", time.Unix(cursor.Since, 0).UTC().Format(time.RFC3339))
	}
	return c.url("/repos/"+repo+"/issues", query)
}

// endOfSecond dates a state that was read after its second had ended: it is the
// last of that second.
func endOfSecond(t time.Time) time.Time {
	return t.UTC().Truncate(time.Second).Add(time.Second - time.Microsecond)
}
