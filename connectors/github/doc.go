// Package github ingests the issues and repositories of GitHub users and
// organizations, and every webhook event.
//
// # Issues
//
// Issues are listed by their last update, oldest first, and asked for by time
// and not by page number: an issue that is updated or deleted while the list is
// read shifts the pages behind it, but not what was updated since a moment. The
// Link header says whether there is more, and is followed where more than a
// page of issues has the same second. Each repository has a position of its
// own, and a run starts five minutes before it. Pull requests, which GitHub
// lists among the issues, are left out; their webhooks go to events.
//
// An issue's version is its updated_at, a whole second. A poll leaves an issue
// that was updated in the second of the read for the next run, so a version is
// recorded only when nothing can be added to it. A webhook shows one state
// within its second, and the poll's, which is the last of that second, is newer
// than all of them. Each update thus gives an event at once, by webhook, and
// one more by poll.
//
// # Repositories
//
// A repository changes without a new updated_at (a star, an open issue), so its
// polls compare whole states, and every run reads all repositories. One that is
// skipped because another was deleted between two pages is read by the next run.
//
// # Webhooks
//
// GitHub names the event in a header that it does not sign. The header chooses
// among the declared streams only, the body must have that event's form, and a
// deletion must have nothing in it that such an event never has. Deletions are
// seen by webhooks alone; an issue that was transferred is gone too, since it
// has another id where it went.
//
// GitHub sends bodies of up to 25 MiB, and so large the event of a delivery may
// be (ingest.DeliveryLimits).
package github
