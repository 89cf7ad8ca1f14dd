package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/tools/catalogcheck"
	"github.com/weirhq/weir/tools/cataloglock"
)

// catalogDiff compares the code with the lock of another revision.
func (a *app) catalogDiff() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "diff REVISION [packages]", Short: "Show what the code takes from connections since a revision", Args: cobra.MinimumNArgs(1),
		Long: "Compare the connectors with the catalog.lock.json of a git revision: streams that are gone,\n" +
			"cursors that cannot be read, endpoints and identities that changed. The packages are those that\n" +
			"link connectors (default ./...). It exits with 1 when a change that loses something has no reason.",
		Example: "  weir catalog diff origin/main",
		RunE: func(command *cobra.Command, args []string) error {
			locks, err := a.locks(command.Context(), args[1:])
			if err != nil {
				return err
			}
			var all []cataloglock.Change
			for _, lock := range locks {
				before, err := lockAt(command.Context(), args[0], lock.Path)
				if err != nil {
					return wrongUsage(err)
				}
				all = append(all, cataloglock.Compare(before, lock.Now)...)
			}
			return a.printChanges(all, asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the changes as JSON")
	return command
}

// catalogAccept gives a change its reason.
func (a *app) catalogAccept() *cobra.Command {
	var reason, since string
	command := &cobra.Command{
		Use: "accept SUBJECT --reason TEXT", Short: "Accept a change of the catalog", Args: cobra.ExactArgs(1),
		Long: "Write into catalog.lock.json why a change that weir check or weir catalog diff reports is wanted.\n" +
			"The subject is a connector, a stream (connector.stream) or an endpoint (connector/path).",
		Example: `  weir catalog accept stripe.payouts --reason "nobody used them; announced in May"`,
		RunE: func(command *cobra.Command, args []string) error {
			locks, err := a.locks(command.Context(), nil)
			if err != nil {
				return err
			}
			var failures []error
			for _, lock := range locks {
				before := lock.Saved
				if since != "" {
					if before, err = lockAt(command.Context(), since, lock.Path); err != nil {
						return wrongUsage(err)
					}
				}
				accepted, err := cataloglock.Accept(before, lock.Now, args[0], reason)
				if err != nil {
					failures = append(failures, err)
					continue
				}
				if len(cataloglock.Open(cataloglock.Compare(lock.Saved, accepted))) > 0 {
					// What else waits for a reason stays to be seen.
					accepted.Connectors = lock.Saved.Connectors
				}
				if err := os.WriteFile(lock.Path, accepted.Encode(), 0o644); err != nil { //nolint:gosec // source code has the mode of source code
					return failed(fmt.Errorf("write catalog lock: %w", err))
				}
				a.printf("%s: %s accepted\n", lock.Path, args[0])
				return nil
			}
			return failed(errors.Join(failures...))
		},
	}
	command.Flags().StringVar(&reason, "reason", "", "why the change is wanted (required)")
	command.Flags().StringVar(&since, "since", "", "accept a change since this git revision, and not since the lock")
	return command
}

// locks reads the locks of the packages.
func (a *app) locks(ctx context.Context, patterns []string) ([]catalogcheck.LinkedLock, error) {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	locks, err := catalogcheck.Locks(ctx, "", patterns)
	switch {
	case err != nil:
		return nil, wrongUsage(err)
	case len(locks) == 0:
		return nil, wrongUsage(errors.New("no package here links connectors; run weir generate, which writes connectors/all"))
	}
	return locks, nil
}

// lockAt reads a lock as a git revision has it.
func lockAt(ctx context.Context, revision, path string) (cataloglock.Lock, error) {
	if strings.HasPrefix(revision, "-") {
		return cataloglock.Lock{}, fmt.Errorf("%q is no revision", revision)
	}
	git := exec.CommandContext(ctx, "git", "show", revision+":./"+filepath.Base(path)) //nolint:gosec // a revision is one argument, and no flag
	git.Dir = filepath.Dir(path)
	var said strings.Builder
	git.Stderr = &said
	content, err := git.Output()
	if err != nil {
		return cataloglock.Lock{}, fmt.Errorf("read %s of revision %q: %w: %s", filepath.Base(path), revision, err, strings.TrimSpace(said.String()))
	}
	lock, err := cataloglock.Decode(content)
	if err != nil && !errors.Is(err, cataloglock.ErrEdited) {
		return cataloglock.Lock{}, fmt.Errorf("%s of revision %q: %w", filepath.Base(path), revision, err)
	}
	return lock, nil
}

func (a *app) printChanges(all []cataloglock.Change, asJSON bool) error {
	lost := false
	type row struct {
		Rule     string `json:"rule"`
		Severity string `json:"severity"`
		Subject  string `json:"subject"`
		Message  string `json:"message"`
		Reason   string `json:"reason,omitempty"`
	}
	rows := []row{}
	for _, c := range all {
		rule, _ := catalogcheck.RuleByID(c.Rule)
		rows = append(rows, row{c.Rule, string(rule.Severity), c.Subject, c.Message, c.Reason})
		lost = lost || c.Reason == "" && rule.Severity == "error"
	}
	if asJSON {
		encoder := json.NewEncoder(a.term.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"changes": rows}); err != nil {
			return failed(err)
		}
	} else {
		for _, r := range rows {
			if r.Reason != "" {
				a.printf("%s %s: accepted: %s\n", r.Rule, r.Subject, r.Reason)
				continue
			}
			a.printf("%s %s: %s [%s]\n", r.Rule, r.Subject, r.Message, r.Severity)
		}
		if len(rows) == 0 {
			a.printf("nothing that connections rely on has changed\n")
		}
	}
	if lost {
		return &exitError{exitFailed, nil}
	}
	return nil
}
