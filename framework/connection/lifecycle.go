package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store"
)

// alter changes the row of a connection, and nothing of its revisions, as f says.
// f returns false when there is nothing to change.
func (d *Desk) alter(ctx context.Context, project, name string, q Request, f func(row *store.Configured) (bool, error), asked ...any) (View, error) {
	c, err := d.request(q, project, append([]any{name}, asked...)...)
	if err != nil {
		return View{}, err
	}
	if v, done, err := d.repeated(ctx, c); done || err != nil {
		return v, err
	}
	for range tries {
		var row store.Configured
		var s Spec
		if row, s, err = d.find(ctx, project, name); err != nil {
			return View{}, err
		}
		if q.IfMatch != "" && q.IfMatch != "*" && q.IfMatch != etag(row.ID, row.Latest) {
			return View{}, ErrPrecondition
		}
		if row.ManagedBy == ManagedByNobody {
			return View{}, fmt.Errorf("connection %q was deleted: %w", name, ErrState)
		}
		changed, err2 := f(&row)
		if err2 != nil {
			return View{}, err2
		}
		if !changed {
			return d.view(ctx, row, s), nil
		}
		var v View
		if v, err = d.commit(ctx, c, store.ConnectionChange{Configured: row}, s, nil); !errors.Is(err, store.ErrStale) {
			return v, err
		}
	}
	return View{}, err
}

// SetState pauses, stops or resumes a connection (store.DesiredRunning). It is no
// new revision, and allowed whoever manages the connection.
func (d *Desk) SetState(ctx context.Context, project, name string, to store.Desired, q Request) (View, error) {
	waits := to == store.DesiredPaused || to == store.DesiredStopped
	resumed := ""
	v, err := d.alter(ctx, project, name, q, func(row *store.Configured) (bool, error) {
		if row.Deployed == 0 {
			return false, fmt.Errorf("connection %q was never deployed; deploy it first: %w", name, ErrState)
		}
		changed := row.State != to
		if d.cfg.Live != nil && !waits {
			// Before it runs again: a process that ends here leaves it as it was.
			if err := d.cfg.Live.SetPolls(ctx, row.ID, false); err != nil {
				return false, err
			}
			if changed {
				resumed = row.ID
			}
		}
		row.State = to
		return changed, nil
	}, "state", to)
	if err != nil && resumed != "" {
		// It stays as it was, and so do its polls.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
		defer cancel()
		err = errors.Join(err, d.cfg.Live.SetPolls(ctx, resumed, true))
	}
	if err != nil || d.cfg.Live == nil {
		return v, err
	}
	row, s, err := d.find(ctx, project, name)
	if err != nil {
		return v, err
	}
	// A request that is repeated may find that others have come since.
	if waits && row.State == to {
		if err := d.cfg.Live.SetPolls(ctx, row.ID, true); err != nil {
			return v, err
		}
	}
	return d.view(ctx, row, s), nil
}

// takeBack bounds what is done to leave a connection as it was.
const takeBack = 10 * time.Second

// Restart begins the work of a connection again.
func (d *Desk) Restart(ctx context.Context, project, name string) (View, error) {
	row, s, err := d.find(ctx, project, name)
	switch {
	case err != nil:
		return View{}, err
	case row.Deployed > 0 && row.Enabled && (row.State == store.DesiredPaused || row.State == store.DesiredStopped):
		return View{}, fmt.Errorf("connection %q is %s; resume it instead: %w", name, stateOf(row, Observation{}), ErrState)
	case row.Deployed == 0 || !row.Enabled || row.State != store.DesiredRunning:
		return View{}, fmt.Errorf("connection %q is %s; nothing of it runs: %w", name, stateOf(row, Observation{}), ErrState)
	}
	if d.cfg.Live != nil {
		if err := d.cfg.Live.Restart(ctx, row.ID); err != nil {
			return View{}, err
		}
	}
	return d.view(ctx, row, s), nil
}

// Deploy has a revision run, the latest for 0. When it does not open, it fails
// with an [OpenError], and what ran before goes on.
func (d *Desk) Deploy(ctx context.Context, project, name string, number int64, q Request) (View, error) {
	return d.alter(ctx, project, name, q, func(row *store.Configured) (bool, error) {
		if row.ManagedBy == store.ManagedByFile && !q.File {
			return false, &ManagedError{name}
		}
		number := number // of this try: another one may find a later revision
		if number == 0 {
			number = row.Latest
		}
		if row.Deployed == number {
			return false, nil
		}
		revision, err := d.cfg.Store.Revision(ctx, row.ID, number)
		if err != nil {
			return false, err
		}
		c, err := d.runnable(ctx, *row, revision.Spec)
		if err != nil {
			return false, err
		}
		next := *row
		next.Deployed, next.Enabled = number, c.Enabled
		if next.State == store.DesiredDraft {
			next.State = store.DesiredRunning
		}
		if err := d.try(ctx, c, store.ConnectionChange{Configured: next}); err != nil {
			return false, err
		}
		*row = next
		return true, nil
	}, "deploy", number)
}

// runnable is Runnable for a row and a revision of it.
func (d *Desk) runnable(ctx context.Context, row store.Configured, spec []byte) (config.Connection, error) {
	projects, err := d.projectNames(ctx)
	if err != nil {
		return config.Connection{}, err
	}
	return d.Runnable(ctx, store.Deployment{Configured: row, Spec: spec}, projects)
}

// Rollback makes a copy of an earlier revision the latest one, and deploys it.
func (d *Desk) Rollback(ctx context.Context, project, name string, number int64, q Request) (View, error) {
	q.Form = formKept
	if q.Message == "" {
		q.Message = fmt.Sprintf("back to revision %d", number)
	}
	return d.edit(ctx, project, name, q, func(row store.Configured, _ Spec) (map[string]any, error) {
		s, err := d.spec(ctx, row, number)
		if err != nil {
			return nil, err
		}
		if s, err = d.unseal(row.ID, s); err != nil {
			return nil, Faults{{Message: err.Error()}}
		}
		return s.document()
	}, "rollback", name, number, q.IfMatch)
}

// Kept says what of a deleted connection is kept.
type Kept struct{ Events, DeadLetters bool }

// Delete deletes a connection. With something kept, what was recorded stays to be
// read under its id, until that is deleted too; the name is free at once.
func (d *Desk) Delete(ctx context.Context, project, name string, keep Kept, q Request) (View, error) {
	c, err := d.request(q, project, "delete", name, keep, q.IfMatch)
	if err != nil {
		return View{}, err
	}
	if v, done, err := d.repeated(ctx, c); done || err != nil {
		return v, err
	}
	for range tries {
		var row store.Configured
		var s Spec
		if row, s, err = d.find(ctx, project, name); err != nil {
			return View{}, err
		}
		if row.ManagedBy != ManagedByNobody {
			if row, s, err = d.owned(ctx, project, name, q); err != nil {
				return View{}, err
			}
		}
		change := store.ConnectionChange{Configured: row, Delete: true}
		if keep.Events || keep.DeadLetters {
			change.Delete = false
			change.Name, change.ManagedBy, change.Deployed, change.State, change.Enabled = row.ID, ManagedByNobody, 0, store.DesiredDraft, false
		}
		var v View
		if v, err = d.commit(ctx, c, change, s, nil); !errors.Is(err, store.ErrStale) {
			v.State = StateDeleted
			return v, err
		}
	}
	return View{}, err
}

// Detach gives a connection that the file manages to the API. Secrets that stand
// in the file alone cannot come along.
func (d *Desk) Detach(ctx context.Context, project, name string, q Request) (View, error) {
	return d.alter(ctx, project, name, q, func(row *store.Configured) (bool, error) {
		if row.ManagedBy != store.ManagedByFile {
			return false, nil
		}
		next := *row
		next.ManagedBy = store.ManagedByAPI
		if row.Deployed > 0 {
			revision, err := d.cfg.Store.Revision(ctx, row.ID, row.Deployed)
			if err != nil {
				return false, err
			}
			if _, err := d.runnable(ctx, next, revision.Spec); err != nil {
				return false, fmt.Errorf("it would not run without the file: %w", err)
			}
		}
		*row = next
		return true, nil
	}, "detach")
}

// Test makes one real round trip with the latest revision of a connection.
func (d *Desk) Test(ctx context.Context, project, name string) (Verdict, error) {
	row, _, err := d.find(ctx, project, name)
	if err != nil {
		return Verdict{}, err
	}
	if d.cfg.Live == nil || row.Latest == 0 {
		return Verdict{}, fmt.Errorf("connection %q has no revision to test: %w", name, ErrState)
	}
	revision, err := d.cfg.Store.Revision(ctx, row.ID, row.Latest)
	if err != nil {
		return Verdict{}, err
	}
	c, err := d.runnable(ctx, row, revision.Spec)
	if _, secrets := errors.AsType[*framework.SettingError](err); secrets && row.ManagedBy == store.ManagedByFile {
		// Its secrets stand in the file alone, and in what runs with them.
		return d.cfg.Live.Test(ctx, config.Connection{Project: row.Project, Name: row.Name, Type: row.Type}, row.ID), nil
	}
	if err != nil {
		return Verdict{}, err
	}
	return d.cfg.Live.Test(ctx, c, row.ID), nil
}

// Entry is one revision in a history.
type Entry struct {
	Revision  int64     `json:"revision"`
	Deployed  bool      `json:"deployed"`
	CreatedAt time.Time `json:"created_at"`
	By        string    `json:"by"`
	Message   string    `json:"message,omitempty"`
	// Changes are those to the revision before.
	Changes []Change `json:"changes"`
}

// History lists revisions, newest first, before a number (0 for the newest), and
// whether there are more.
func (d *Desk) History(ctx context.Context, project, name string, before int64, limit int) (entries []Entry, more bool, err error) {
	row, _, err := d.find(ctx, project, name)
	if err != nil {
		return nil, false, err
	}
	revisions, err := d.cfg.Store.Revisions(ctx, row.ID, before, limit+1)
	if err != nil {
		return nil, false, err
	}
	specs := make([]Spec, len(revisions))
	for i, r := range revisions {
		if err := specs[i].UnmarshalJSON(r.Spec); err != nil {
			return nil, false, err
		}
	}
	for i, r := range revisions[:min(limit, len(revisions))] {
		e := Entry{Revision: r.Number, Deployed: r.Number == row.Deployed, CreatedAt: r.CreatedAt.UTC(), By: r.By, Message: r.Message, Changes: []Change{}}
		if i+1 < len(specs) {
			e.Changes = d.Diff(row.ID, &specs[i+1], &specs[i])
		}
		entries = append(entries, e)
	}
	return entries, len(revisions) > limit, nil
}

// Revision shows one revision, without its secrets.
func (d *Desk) Revision(ctx context.Context, project, name string, number int64) (Spec, error) {
	row, _, err := d.find(ctx, project, name)
	if err != nil {
		return Spec{}, err
	}
	s, err := d.spec(ctx, row, number)
	if err != nil {
		return Spec{}, err
	}
	s, _ = d.mask(row.ID, s)
	return s, nil
}
