package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
)

const (
	// configurationEvery is how often a process looks for what others that share
	// its store have changed.
	configurationEvery = 250 * time.Millisecond
	// byFile is who makes the revisions of a file that is read at the start.
	byFile = "file"
)

// configure brings the file and the store together at the start, and opens what
// is configured.
func (r *Runtime) configure(ctx context.Context) error {
	c := r.options.Config
	desk := resource.DeskConfig{
		Store: r.store, Plugins: r.options.Plugins, Keys: r.keys, References: c.Secrets.References(),
		PublicURL: c.PublicURL, Retention: c.Retention, Log: r.log,
	}
	var err error
	if r.fileDesk, err = resource.NewDesk(desk); err == nil {
		desk.Live = liveDesk{r}
		r.desk, err = resource.NewDesk(desk)
	}
	if err != nil {
		// Without a connector there is nothing to configure.
		return r.store.SetRetention(r.retention())
	}
	if err := r.applyFile(ctx, c); err != nil {
		return err
	}
	err = r.refresh(ctx, true)
	r.prepared = nil
	return err
}

// applyFile brings the connections of a file into the store, as far as the file was
// changed since it was read the last time. Where several processes share the store,
// each of them may have another file: there it fills an empty store, and is nothing
// but compared with what others have configured.
func (r *Runtime) applyFile(ctx context.Context, c *config.File) error {
	_, shared := r.store.(store.Shared)
	options := resource.FileOptions{CreateOnly: shared, Since: byFile}
	request := resource.Request{By: byFile, Message: c.Path}
	dry := false
	if shared {
		version, err := r.store.ConfigurationVersion(ctx)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		// Of several that find the store empty at once, one fills it: the others ask for
		// something else by the same key.
		request.Key = fmt.Sprintf("fill %d", version)
		versions, err := r.store.ConfiguredVersions(ctx)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		dry = len(versions) > 0
	} else {
		options.Release = byFile
	}
	plan, err := r.fileDesk.ApplyFile(ctx, c.Projects, c.Connections, options, request, dry)
	if shared && errors.Is(err, store.ErrReused) {
		dry = true
		plan, err = r.fileDesk.ApplyFile(ctx, c.Projects, c.Connections, options, request, dry)
	}
	if err != nil {
		return err
	}
	for _, step := range plan.Steps {
		if dry && step.Action != resource.ActionUnchanged {
			r.log.Warn("the file says something that the store of several processes does not hold, and nothing was done; run weir apply to bring it in",
				"project", step.Project, "connection", step.Name, "would", step.Action)
		}
	}
	return r.remember(c, plan)
}

// remember keeps what the file says, for what stands in it alone.
func (r *Runtime) remember(c *config.File, plan resource.Plan) error {
	r.file = make(map[[2]string]written, len(c.Connections))
	specs := plan.Specs()
	for _, one := range c.Connections {
		key := [2]string{one.Project, one.Name}
		spec, err := resource.SpecOf(one, r.options.Plugins)
		if err != nil {
			return err
		}
		if _, ok := specs[key]; !ok {
			return fmt.Errorf("connection %q is in the file and not in its plan", one.Name)
		}
		differs := r.desk.Differs(specs[key], spec)
		if differs {
			r.log.Warn("the store has another revision of a connection than this file, and that one runs; run weir apply to change it",
				"project", one.Project, "connection", one.Name)
			continue
		}
		r.file[key] = written{config: one, spec: specs[key]}
	}
	return nil
}

// Reload reads the connections of a file again while the process runs. A file
// with errors is refused whole, and what runs goes on.
func (r *Runtime) Reload(ctx context.Context, c *config.File) error {
	var errs []error
	for _, one := range c.Connections {
		_, err := r.prepare(one)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	before := r.file
	if err := r.applyFile(ctx, c); err != nil {
		return err
	}
	for id, one := range r.all() {
		// Secrets that stand in the file alone change no revision.
		key := [2]string{one.Project, one.Name}
		if _, was := before[key]; was {
			r.versions[id] = -1 // none has it
		}
	}
	return r.refresh(ctx, false)
}

// watchConfiguration takes up what other processes have changed and what could not
// be taken up when it was made, and tries again what did not open, until ctx ends.
func (r *Runtime) watchConfiguration(ctx context.Context) {
	_, shared := r.store.(store.Shared)
	ticker, again := time.NewTicker(configurationEvery), time.NewTicker(reopenEvery)
	defer ticker.Stop()
	defer again.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !r.behind.Load() {
				if !shared {
					continue
				}
				version, err := r.store.ConfigurationVersion(ctx)
				if err != nil || version == r.configuration.Load() {
					continue
				}
			}
			err = r.Refresh(ctx)
		case <-again.C:
			err = r.reopen(ctx)
		case <-r.assigned:
		}
		if err = errors.Join(err, r.report(ctx)); err != nil && ctx.Err() == nil {
			r.log.Error("a change of the configuration could not be taken up; trying again", "err", err)
		}
	}
}

// hasFormer reports that a declared stream had another key before.
func hasFormer(s catalog.StreamManifest) bool { return len(s.Former()) > 0 }
