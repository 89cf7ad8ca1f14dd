package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/open"
	"github.com/weirhq/weir/framework/store/transfer"
)

// storeFlags name a store.
type storeFlags struct{ store, dataDir string }

func (f *storeFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.store, "store", "", "address of the store: sqlite:FOLDER (a relative one is below the data folder) or postgres://… (default: SQLite in the data folder)")
	flags.StringVar(&f.dataDir, "data-dir", "weir-data", "folder of everything that is kept on disk")
}

func (a *app) backup() *cobra.Command {
	var f storeFlags
	var asJSON bool
	command := &cobra.Command{
		Use: "backup <file|folder>", Short: "Copy the store into one file, while Weir runs", Args: cobra.ExactArgs(1),
		Long: "Copy the store into a new file, or into a file named by the time in a folder. Weir may run meanwhile:\n" +
			"the copy is the store of one moment. It is read again and checked before it gets its name. The file holds\n" +
			"everything, also the secret that keys are hashed with: keep it as safe as the store.",
		Example: "  weir backup /var/backups\n  weir backup before-upgrade.weir --store postgres://weir@db/weir",
		RunE: func(command *cobra.Command, args []string) error {
			file := args[0]
			if info, err := os.Stat(file); err == nil && info.IsDir() {
				file = filepath.Join(file, "weir-"+time.Now().UTC().Format("20060102T150405Z")+".backup")
			}
			bar := a.progress()
			manifest, err := open.Backup(command.Context(), f.store, f.dataDir, file, bar.show)
			bar.end()
			if err != nil {
				return storeFailure("back up", err)
			}
			return a.printBackup(file, manifest, asJSON, "checked")
		},
	}
	f.register(command.Flags())
	command.Flags().BoolVar(&asJSON, "json", false, "print what is in the backup as JSON")
	return command
}

func (a *app) restore() *cobra.Command {
	var f storeFlags
	var asJSON bool
	command := &cobra.Command{
		Use: "restore <file>", Short: "Make a new store of a backup", Args: cobra.ExactArgs(1),
		Long: "Make a store of a backup, where there is none: in the data folder, or in an empty database. The backup is\n" +
			"checked first. What came after the backup is not there: polls read it again, and readers that keep a\n" +
			"sequence are told by the epoch of the log, which is another one.",
		Example: "  weir restore /var/backups/weir-20261122T040000Z.backup --data-dir restored",
		RunE: func(command *cobra.Command, args []string) error {
			bar := a.progress()
			manifest, err := open.Restore(command.Context(), args[0], f.store, f.dataDir, bar.show)
			bar.end()
			if err != nil {
				return storeFailure("restore", err)
			}
			return a.printBackup(args[0], manifest, asJSON, "restored")
		},
	}
	f.register(command.Flags())
	command.Flags().BoolVar(&asJSON, "json", false, "print what is in the backup as JSON")
	return command
}

func (a *app) printBackup(file string, m transfer.Manifest, asJSON bool, what string) error {
	info, err := os.Stat(file)
	if err != nil {
		return failed(err)
	}
	if asJSON {
		out, err := json.Marshal(struct {
			File  string `json:"file"`
			Bytes int64  `json:"bytes"`
			transfer.Manifest
		}{file, info.Size(), m})
		if err != nil {
			return failed(err)
		}
		a.printf("%s\n", out)
		return nil
	}
	a.printf("%s: %s, %d bytes, %d connections, %d streams, %d events, of %s\n", what, file, info.Size(),
		m.Rows("connections"), m.Rows("streams"), m.Rows("events"), m.TakenAt.Format(time.RFC3339))
	return nil
}

func (a *app) migrate() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "migrate <from> <to>", Short: "Move a whole store to another place or database", Args: cobra.ExactArgs(2),
		Long: "Move a store, with everything in it, to an address that holds none, also from SQLite to PostgreSQL and back.\n" +
			"Stop Weir first. The source is only read. The target is filled in one piece, read again and held against\n" +
			"the source by counts and digests of every table; when anything fails, it is as it was before.",
		Example: "  weir migrate sqlite:weir-data postgres://weir@db/weir",
		RunE: func(command *cobra.Command, args []string) (err error) {
			ctx := command.Context()
			from, err := open.Source(ctx, args[0], ".")
			if err != nil {
				return storeFailure("open the source", err)
			}
			defer func() { err = errors.Join(err, from.Close()) }()
			to, err := open.Target(ctx, args[1], ".")
			if err != nil {
				return storeFailure("open the target", err)
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			bar := a.progress()
			result, err := transfer.Move(ctx, from, to, transfer.Options{Progress: bar.show})
			bar.end()
			if err != nil {
				return storeFailure("migrate", err)
			}
			if asJSON {
				out, err := json.Marshal(result)
				if err != nil {
					return failed(err)
				}
				a.printf("%s\n", out)
				return nil
			}
			for _, t := range result.Tables {
				a.printf("%-20s %10d rows  %s\n", t.Table, t.Rows, t.Digest)
			}
			a.printf("The target holds the same. Start Weir with it: --store, or store: in weir.yaml.\n")
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print counts and digests as JSON")
	return command
}

// storeFailure says what to do about a store that cannot be used.
func storeFailure(what string, err error) error {
	wrapped := fmt.Errorf("%s: %w", what, err)
	switch {
	case errors.Is(err, open.ErrAddress):
		return wrongUsage(wrapped)
	case errors.Is(err, fs.ErrNotExist):
		return wrongUsage(fmt.Errorf("%w; name the store with --data-dir or --store", wrapped))
	case errors.Is(err, store.ErrUnavailable):
		return unreachable(wrapped)
	}
	return failed(wrapped)
}
