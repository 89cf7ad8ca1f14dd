package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/open"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// byCLI is who changes a store without a server.
const byCLI = "weir"

// directFlags say which store is meant where no server is.
type directFlags struct{ config, store, dataDir string }

// explicit reports that a store is named, so that no server is asked.
func (f *directFlags) explicit() bool { return f.store != "" || f.dataDir != "" }

func (f *directFlags) register(command *cobra.Command) {
	command.Flags().StringVar(&f.config, "config", "", "file whose store and keys are meant without a server (default weir.yaml, or the applied file)")
	command.Flags().StringVar(&f.store, "store", "", "address of a store to work on without a server")
	command.Flags().StringVar(&f.dataDir, "data-dir", "", "folder of a store to work on without a server")
}

// direct is a store that is worked on without a server.
type direct struct {
	*connection.Desk

	close func() error
}

// reach asks the server. Where a store is named instead, or no server is named and
// none answers, it opens the store itself and returns it.
func (a *app) reach(command *cobra.Command, c *client, f *directFlags, file string, ask func() error) (*direct, error) {
	named := command.Flags().Changed("server")
	if f.explicit() && named {
		return nil, wrongUsage(errors.New("--server names a running Weir, --store and --data-dir a store without one; give one of them"))
	}
	var cause error
	if !f.explicit() {
		cause = ask()
		var coded *exitError
		if !errors.As(cause, &coded) || coded.code != exitUnreachable || named {
			return nil, cause
		}
	}
	loaded, err := a.settings(f, file)
	if err != nil {
		return nil, err
	}
	if loaded == nil {
		return nil, cause
	}
	ctx := command.Context()
	where := "the store on PostgreSQL"
	if folder := open.Folder(loaded.Store, loaded.DataDir); folder != "" {
		where = "the store in " + folder
		if _, err := os.Stat(filepath.Join(folder, sqlite.FileName)); errors.Is(err, fs.ErrNotExist) && !f.explicit() {
			return nil, unreachable(fmt.Errorf("%w; or give --data-dir to work on a store without a server (there is none in %s)", cause, folder))
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, failed(err)
		}
	}
	loaded.Secrets.Key, _ = a.term.Env("WEIR_SECRET_KEY")
	ensureKey(loaded, slog.New(slog.DiscardHandler))
	keys, err := loaded.Secrets.Keys()
	if err != nil {
		return nil, failed(err)
	}
	s, err := open.Beside(ctx, loaded.Store, loaded.DataDir)
	if errors.Is(err, store.ErrLocked) {
		return nil, failed(fmt.Errorf("%w; if that is a running Weir, give its address with --server", err))
	}
	if err != nil {
		return nil, failed(err)
	}
	desk, err := connection.NewDesk(connection.DeskConfig{
		Store: s, Plugins: a.plugins, Keys: keys, References: loaded.Secrets.References(), PublicURL: loaded.PublicURL, Retention: loaded.Retention,
	})
	if err != nil {
		return nil, failed(errors.Join(err, s.Close()))
	}
	if !f.explicit() {
		a.notef("no Weir answers at %s; working on %s\n", c.place(), where)
	}
	return &direct{desk, s.Close}, nil
}

// settings are those of the file that says which store is meant; nil where nothing
// says it.
func (a *app) settings(f *directFlags, file string) (*config.File, error) {
	path := f.config
	if path == "" {
		path = defaultConfig
		if _, err := os.Stat(path); err != nil {
			path = file
		}
	}
	loaded := &config.File{}
	switch {
	case path != "":
		var err error
		if loaded, err = loadProcess(path, a.plugins); err != nil {
			return nil, err
		}
	case !f.explicit():
		return nil, nil //nolint:nilnil // there is no file, and that is no error
	}
	flags := serverFlags{store: f.store, dataDir: f.dataDir}
	flags.apply(loaded)
	return loaded, nil
}

// loadProcess reads which store and keys a file means.
func loadProcess(path string, plugins []framework.Plugin) (*config.File, error) {
	loaded, err := config.LoadProcess(path, plugins)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return nil, failed(invalidFile(path, problems))
	}
	if err != nil {
		return nil, wrongUsage(err)
	}
	return loaded, nil
}

func invalidFile(path string, problems config.Problems) error {
	return fmt.Errorf("%s is not valid; nothing was changed:\n%w", path, problems)
}

// apply is what POST /api/v1/apply does.
func (d *direct) apply(ctx context.Context, file string, content []byte, o connection.FileOptions, message string, dry bool) (plan, error) {
	loaded, err := d.ReadFile(ctx, cmp.Or(file, "the input"), content, true)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return plan{}, failed(invalidFile(cmp.Or(file, "the input"), problems))
	}
	if err != nil {
		return plan{}, failed(err)
	}
	did, err := d.ApplyFile(ctx, loaded.Projects, loaded.Connections, o, connection.Request{By: byCLI, Message: message}, dry)
	if err != nil {
		return plan{}, failed(err)
	}
	return as[plan](did)
}

// delete deletes a connection.
func (d *direct) delete(ctx context.Context, project, name string, keep connection.Kept) error {
	_, err := d.Delete(ctx, project, name, keep, connection.Request{By: byCLI})
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("there is no connection %q in project %q", name, project)
	}
	return failedUnless(err)
}

// views are connections as the API shows them.
func (d *direct) views(ctx context.Context, project string, names []string) ([]map[string]any, error) {
	var list []connection.View
	for _, name := range names {
		v, err := d.Get(ctx, project, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, failed(fmt.Errorf("there is no connection %q in project %q", name, project))
		}
		if err != nil {
			return nil, failed(err)
		}
		list = append(list, v)
	}
	for more := len(names) == 0; more; {
		after := ""
		if len(list) > 0 {
			after = list[len(list)-1].Name
		}
		page, next, err := d.List(ctx, project, connection.Filter{}, after, 1000)
		if err != nil {
			return nil, failed(err)
		}
		list, more = append(list, page...), next
	}
	out := make([]map[string]any, len(list))
	for i, v := range list {
		var err error
		if v.Form == connection.FormWebhook {
			flat := v.Webhook()
			flat["project"] = v.Project
			out[i], err = as[map[string]any](flat)
		} else {
			out[i], err = as[map[string]any](v)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// as turns a value into another that JSON gives the same members.
func as[T any](v any) (out T, err error) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, failedUnless(err)
}
