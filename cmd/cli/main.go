package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirhq/weir/framework"
)

// Exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// Main runs the command line of the process with the given connectors linked
// in, and exits.
func Main(plugins ...framework.Plugin) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, Terminal{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.LookupEnv}, plugins...)
	stop()
	os.Exit(code)
}

// Terminal is what a command line talks to.
type Terminal struct {
	// Args are the arguments without the program's name.
	Args     []string
	In       io.Reader
	Out, Err io.Writer
	// Env looks up an environment variable.
	Env func(name string) (string, bool)
}

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, t Terminal, plugins ...framework.Plugin) int {
	terminal := terminalOf(t.Err)
	out, stderr := &plainWriter{out: t.Out}, &plainWriter{out: t.Err}
	defer out.flush()
	defer stderr.flush()
	t.Out, t.Err = out, stderr
	a := &app{term: t, plugins: plugins, terminal: terminal}
	root := a.root() //nolint:contextcheck // cobra hands each command its context
	root.SetArgs(t.Args)
	root.SetIn(t.In)
	root.SetOut(t.Out)
	root.SetErr(t.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var coded *exitError
	if !errors.As(err, &coded) {
		// Everything cobra itself refuses is wrong usage.
		used, _, _ := root.Find(t.Args)
		if used == nil || used == root {
			used = root
		} else {
			err = fmt.Errorf("%w\nUsage: %s", err, used.UseLine())
		}
		_, _ = fmt.Fprintf(t.Err, "weir: %v\nTry: %s --help\n", err, used.CommandPath())
		return exitUsage
	}
	if coded.err != nil {
		_, _ = fmt.Fprintf(t.Err, "weir: %v\n", coded.err)
	}
	return coded.code
}

// exitError ends a command with an exit code. A nil err was already printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func failed(err error) error      { return &exitError{exitFailed, err} }
func wrongUsage(err error) error  { return &exitError{exitUsage, err} }
func unreachable(err error) error { return &exitError{exitUnreachable, err} }

// app carries what the commands share.
type app struct {
	term    Terminal
	plugins []framework.Plugin
	// terminal is standard error, when that is a terminal.
	terminal io.Writer
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Version:       buildVersion(),
		Short:         "Connectors in Go: declared, proven at build time, run exactly once",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			return a.environment(c.Flags())
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.demo(), a.newConnector(), a.initModule(), a.check(), a.generate(), a.run(),
		a.status(), a.catalog(), a.sync(), a.trigger(), a.reset(), a.backfill(), a.pause(), a.resume(), a.doctor(), a.events(), a.webhook(),
		a.backup(), a.restore(), a.migrate(), a.deadLetters(), a.offsets(),
		a.apply(), a.get(), a.deleteConnection(), a.deploy(), a.rollback(), a.test(), a.history(), a.schema(), a.token(), a.audit(), a.secrets(), a.version(),
	)
	return root
}

// environment sets every flag that was not given from its WEIR_ variable.
func (a *app) environment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "WEIR_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := a.term.Env(name)
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
		}
	})
	if len(errs) > 0 {
		return wrongUsage(errors.Join(errs...))
	}
	return nil
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.term.Out, format, args...) }
func (a *app) notef(format string, args ...any)  { _, _ = fmt.Fprintf(a.term.Err, format, args...) }
