package catalogcheck

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

// Exit codes of the command.
const (
	exitClean    = 0
	exitFindings = 1
	exitFailed   = 2
)

const usageText = `usage: catalogcheck [flags] [packages]

Checks that connectors serve what their catalogs declare. It exits 0 when there
is nothing or only warnings, 1 when there are findings of severity error, and 2
when packages could not be loaded. Without packages it checks the current folder.

Flags:
`

// Main runs the command catalogcheck with its arguments and returns its exit
// code: 0 clean or only warnings, 1 findings of severity error, 2 packages that
// could not be loaded, or wrong usage. When the go command calls it, as the tool
// of go vet, it speaks the vet protocol and does not return.
func Main(args []string, stdout, stderr io.Writer) int {
	if vetProtocol(args) {
		return vet(args)
	}
	flags := flag.NewFlagSet("catalogcheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	write := flags.Bool("write", false, "bring catalog_gen.go up to date in each package without errors")
	fix := flags.Bool("fix", false, "mend what a machine can mend, write catalog_gen.go, and print what is left")
	diff := flags.Bool("diff", false, "print what -fix would change in the source, and change nothing")
	rules := flags.Bool("rules", false, "print the table of rules")
	explained := flags.String("explain", "", "print everything about one `rule`, such as SC201")
	format := flags.String("format", string(FormatText), "print findings as "+formatList())
	flags.Usage = func() {
		fmt.Fprint(stderr, usageText)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitClean
		}
		return exitFailed
	}
	var err error
	switch {
	case *rules:
		err = printRules(stdout)
	case *explained != "":
		rule, ok := RuleByID(strings.ToUpper(*explained))
		if !ok {
			err = fmt.Errorf("unknown rule %q; catalogcheck -rules lists them", *explained)
			break
		}
		err = explain(stdout, rule)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		var findings int
		findings, err = Check(ctx, "", flags.Args(), Options{Format: Format(*format), Write: *write, Fix: *fix, Diff: *diff, CacheDir: DefaultCacheDir()}, stdout)
		if err == nil && findings > 0 {
			return exitFindings
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitClean
}
