package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/tools/catalogcheck"
	"github.com/weirhq/weir/tools/scaffold"
)

func (a *app) check() *cobra.Command {
	var format, explain, file string
	var rules, fix, diff bool
	command := &cobra.Command{
		Use: "check [packages]", Short: "Prove that the code serves what the catalogs declare",
		Long: "Check connectors against their catalogs without running them. The packages are as for the go\n" +
			"command; the default is ./... It exits with 1 when there are findings of severity error, and with\n" +
			"2 when packages could not be loaded. With --config, and in a folder that has a weir.yaml and no Go\n" +
			"module, it checks the connections of that file instead.",
		Example: "  weir check ./...\n  weir check --format pretty ./connectors/...\n  weir check --explain SC201\n  weir check --config weir.yaml",
		RunE: func(command *cobra.Command, args []string) error {
			switch {
			case rules:
				return a.checker("-rules")
			case explain != "":
				return a.checker("-explain", explain)
			}
			if file == "" && len(args) == 0 && configOnly() {
				file = defaultConfig
			}
			if file != "" {
				if err := a.checkConfig(file, format, fix, diff); err != nil || len(args) == 0 {
					return err
				}
			}
			if len(args) == 0 {
				args = []string{"./..."}
			}
			findings, err := catalogcheck.Check(command.Context(), "", args, catalogcheck.Options{Format: catalogcheck.Format(format), Fix: fix, Diff: diff, CacheDir: catalogcheck.DefaultCacheDir()}, a.term.Out)
			var load *catalogcheck.LoadError
			switch {
			case errors.As(err, &load):
				a.notef("%v\n", load)
				return &exitError{exitUsage, nil}
			case err != nil:
				return wrongUsage(err)
			case findings > 0:
				return &exitError{exitFailed, nil}
			}
			return nil
		},
	}
	command.Flags().StringVar(&format, "format", "text", "text, pretty, json, github or sarif")
	command.Flags().BoolVar(&fix, "fix", false, "mend what a machine can mend, and print what is left")
	command.Flags().BoolVar(&diff, "diff", false, "print what --fix would change, and change nothing")
	command.Flags().StringVarP(&file, "config", "c", "", "check this configuration file, and packages only where they are named")
	command.Flags().BoolVar(&rules, "rules", false, "print the table of rules")
	command.Flags().StringVar(&explain, "explain", "", "explain the rule with this id")
	return command
}

// checker runs the checker's own command line.
func (a *app) checker(args ...string) error {
	if code := catalogcheck.Main(args, a.term.Out, a.term.Err); code != exitOK {
		return &exitError{code, nil}
	}
	return nil
}

func (a *app) generate() *cobra.Command {
	return &cobra.Command{
		Use: "generate [packages]", Short: "Write catalog_gen.go of every connector and link them all",
		Long: "Write catalog_gen.go of every connector in the given packages (default ./...) and list every\n" +
			"connector of the module in connectors/all. Files that would not change are left alone.",
		RunE: func(command *cobra.Command, args []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return failed(err)
			}
			if len(args) == 0 {
				args = []string{"./..."}
			}
			changed, err := scaffold.Link(dir)
			if err != nil {
				return wrongUsage(err)
			}
			if changed {
				a.printf("connectors/all/all.go: written\n")
			}
			return a.write(command, dir, args)
		},
	}
}

// write brings the generated catalogs of the packages up to date.
func (a *app) write(command *cobra.Command, dir string, patterns []string) error {
	findings, err := catalogcheck.Check(command.Context(), dir, patterns, catalogcheck.Options{Write: true, CacheDir: catalogcheck.DefaultCacheDir()}, a.term.Out)
	switch {
	case errors.Is(err, catalogcheck.ErrLoad):
		a.notef("%v\n", err)
		return &exitError{exitUsage, nil}
	case err != nil:
		return failed(err)
	case findings > 0:
		return failed(errors.New("catalogs with findings are not written; mend what is above, then weir generate"))
	}
	return nil
}
