package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/tools/scaffold"
)

func (a *app) newConnector() *cobra.Command {
	var streams string
	command := &cobra.Command{
		Use: "new <connector>", Short: "Write a new connector and link it in", Args: cobra.ExactArgs(1),
		Long: "Write a new connector into the folder connectors/ of this module: its catalog, its routes, a test\n" +
			"with fixtures, and its generated catalog. It compiles, passes weir check and its own test untouched.",
		Example: "  weir new acme --streams customers:poll,events:webhook",
		RunE: func(command *cobra.Command, args []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return failed(err)
			}
			folder, written, err := scaffold.New(dir, args[0], streams)
			if err != nil {
				return wrongUsage(err)
			}
			for _, f := range written {
				a.printf("wrote %s\n", f)
			}
			module, err := scaffold.FindModule(dir)
			if err != nil {
				return failed(err)
			}
			if module.Path != ownModule {
				// The connector's test brings requirements of its own.
				if err := tidy(command.Context(), module.Dir); err != nil {
					return failed(err)
				}
			}
			// The lock of what is linked says what the new connector promises.
			here, err := filepath.Rel(dir, folder)
			if err != nil {
				return failed(err)
			}
			if err := a.write(command, dir, []string{"./" + filepath.ToSlash(here), "./" + filepath.ToSlash(filepath.Join(here, "..", "all"))}); err != nil {
				return err
			}
			run := "go run ."
			if module.Path == ownModule {
				run = "go run ./cmd/weir"
			}
			a.printf("linked in connectors/all\n\nNext:\n  go test ./connectors/%s\n  %s check ./...\n  add a connection with connector: %s to weir.yaml, then %s run\n",
				filepath.Base(folder), run, args[0], run)
			return nil
		},
	}
	command.Flags().StringVar(&streams, "streams", "", "streams as key:mode, comma-separated; mode is poll or webhook (required)")
	_ = command.MarkFlagRequired("streams")
	return command
}

// ownModule is the module of the stock binary.
const ownModule = "github.com/weirhq/weir"

func (a *app) initModule() *cobra.Command {
	var o scaffold.InitOptions
	command := &cobra.Command{
		Use: "init <folder>", Short: "Write a module of your own that is Weir with your connectors", Args: cobra.ExactArgs(1),
		Example: "  weir init ../mine --replace .",
		RunE: func(command *cobra.Command, args []string) error {
			if o.Replace == "" && !strings.HasPrefix(o.Version, "v") {
				return wrongUsage(errors.New("this build has no released version to require; give --replace with a checkout of Weir, or --weir-version"))
			}
			if o.Version == "" {
				o.Version = "v0.0.0" // the replacement is what counts
			}
			o.GoVersion = goVersion()
			written, err := scaffold.Init(args[0], o)
			if err != nil {
				return wrongUsage(err)
			}
			for _, f := range written {
				a.printf("wrote %s\n", filepath.Join(args[0], f))
			}
			if err := tidy(command.Context(), args[0]); err != nil {
				return failed(err)
			}
			a.printf("\nNext:\n  cd %s\n  go run . new acme --streams customers:poll,events:webhook\n", args[0])
			return nil
		},
	}
	version := buildVersion()
	if !strings.HasPrefix(version, "v") {
		version = ""
	}
	command.Flags().StringVar(&o.Module, "module", "", "path of the new module (default: the folder's name)")
	command.Flags().StringVar(&o.Replace, "replace", "", "use the Weir checkout in this folder")
	command.Flags().StringVar(&o.Version, "weir-version", version, "version of Weir to require")
	return command
}

// goVersion is the language version of the toolchain that built this program.
func goVersion() string {
	version := strings.TrimPrefix(runtime.Version(), "go")
	version, _, _ = strings.Cut(version, " ")
	if strings.Count(version, ".") == 1 {
		version += ".0"
	}
	return version
}

// tidy completes the new module's go.mod and go.sum.
func tidy(ctx context.Context, dir string) error {
	command := exec.CommandContext(ctx, "go", "mod", "tidy")
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod tidy in %s: %w\n%s", dir, err, output)
	}
	return nil
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.printf("weir %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// buildVersion is the version of Weir in this program.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == ownModule {
		return info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == ownModule {
			return d.Version
		}
	}
	return "unknown"
}

// buildCommit is the commit that this binary was built from, or "".
func buildCommit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return ""
}

// foreignModule refuses to answer for connectors that are not linked in: the
// stock binary in a module that has connectors of its own.
func (a *app) foreignModule() error {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path != ownModule {
		return nil
	}
	module, err := scaffold.FindModule(".")
	if err != nil || module.Path == ownModule {
		return nil
	}
	if _, err := os.Stat(filepath.Join(module.Dir, "connectors")); err != nil {
		return nil
	}
	return wrongUsage(fmt.Errorf("this is the stock binary, and the module %s has connectors of its own that are not linked into it; use go run . %s", module.Path, strings.Join(a.term.Args, " ")))
}
