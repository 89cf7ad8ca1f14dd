package dashboard

import (
	"context"
	"fmt"
	"slices"

	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
)

// shownBackfills is how many backfills a stream's page lists.
const shownBackfills = 10

type backfillLine struct {
	scheduler.Backfill
	From, To  string
	Percent   string
	Remaining string
	Retry     *moment
	ErrorText string
}

// backfills are those of a stream, newest first.
func (d *Dashboard) backfills(ctx context.Context, t health.Target) ([]backfillLine, error) {
	list, err := d.cfg.Operations.Backfills(ctx, t.Connection.ID)
	if err != nil {
		return nil, fmt.Errorf("list backfills: %w", err)
	}
	const layout = "2006-01-02 15:04"
	var out []backfillLine
	for _, b := range slices.Backward(list) {
		if b.Stream != t.Stream.Key {
			continue
		}
		if len(out) == shownBackfills {
			break
		}
		line := backfillLine{
			Backfill: b, From: b.From.UTC().Format(layout), To: b.To.UTC().Format(layout), ErrorText: visible(b.Error),
			Percent: fmt.Sprintf("%d%%", int(b.Progress()*100)), Retry: d.moment(health.TimeOrNil(b.RetryAt)),
		}
		if b.Remaining > 0 && b.State == scheduler.BackfillRunning {
			line.Remaining = took(b.Remaining)
		}
		out = append(out, line)
	}
	return out, nil
}
