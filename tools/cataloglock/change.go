package cataloglock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// Change is something that connections had and a later version of a connector
// takes away.
type Change struct {
	// Rule is "SC505", "SC506", "SC507" or "SC508".
	Rule string
	// Connector and Subject name what changed: the subject is the connector's
	// key, or "connector.stream", or "connector/path" for an endpoint, or
	// "connector!action".
	Connector, Subject string
	// Stream is the key of the stream today, or "" where there is none.
	Stream string
	// Message is the fact, and then what to do.
	Message string
	// Was is the digest of what was promised.
	Was string
	// Renamed is the new stream that may be the lost one, or "".
	Renamed string
	// Former are keys that the stream had and no longer names.
	Former []string
	// Reason is why the change was accepted, or "".
	Reason string
}

// Compare returns what connections lose between before and now, in the order of
// before. Changes that the lock now accepts have their Reason.
func Compare(before, now Lock) []Change {
	var all []Change
	for _, was := range before.Connectors {
		is := now.connector(was.Key)
		if is == nil {
			all = append(all, Change{
				Rule: "SC505", Connector: was.Key, Subject: was.Key, Was: digest(was),
				Message: fmt.Sprintf("connector %q is not linked any more: its connections cannot start, and nobody reads the checkpoints of its %s; link it", was.Key, streams(len(was.Streams))),
			})
			continue
		}
		c := comparison{&was, is, nil}
		c.streams()
		c.endpoints()
		c.actions()
		all = append(all, c.changes...)
	}
	for i, c := range all {
		subject := c.Subject
		if strings.Contains(subject, "!") {
			subject = "'" + subject + "'" // shells have a meaning for it
		}
		all[i].Message += fmt.Sprintf("; or accept the change: weir catalog accept %s --reason TEXT", subject)
		for _, a := range now.Accepted {
			if a.Rule == c.Rule && a.Subject == c.Subject && a.Was == c.Was {
				all[i].Reason = a.Reason
			}
		}
	}
	return all
}

type comparison struct {
	was, is *Connector
	changes []Change
}

// streams says how many there are.
func streams(n int) string {
	if n == 1 {
		return "one stream"
	}
	return fmt.Sprintf("%d streams", n)
}

func (c *comparison) add(rule, name, stream string, was any, format string, args ...any) {
	c.changes = append(c.changes, Change{
		Rule: rule, Connector: c.was.Key, Subject: c.was.Key + name, Stream: stream,
		Was: digest(was), Message: fmt.Sprintf(format, args...),
	})
}

func (c *comparison) streams() {
	for _, was := range c.was.Streams {
		i := slices.IndexFunc(c.is.Streams, func(s Stream) bool { return s.Key == was.Key })
		if i < 0 {
			i = slices.IndexFunc(c.is.Streams, func(s Stream) bool { return slices.Contains(s.former(), was.Key) })
		}
		if i < 0 {
			c.lost(was)
			continue
		}
		is := c.is.Streams[i]
		name := "." + was.Key
		if was.Mode != is.Mode {
			c.add("SC507", name, is.Key, was, "stream %q was a %s stream and is a %s stream now: its state and schedule mean something else", is.Key, was.Mode, is.Mode)
			continue
		}
		if dropped := was.unnamed(is); len(dropped) > 0 {
			quoted := `"` + strings.Join(dropped, `", "`) + `"`
			c.add("SC505", name, is.Key, was, "stream %q no longer says that its key was %s: a store that no version with the key %q has opened loses the stream's events and begins it anew; name the earlier keys in FormerKeys: []string{%s}",
				is.Key, quoted, was.Key, quoted)
			c.changes[len(c.changes)-1].Former = dropped
		}
		if why := cursorChange(was.Cursor, is.Cursor); why != "" {
			c.add("SC506", name, is.Key, was, "stream %q: %s", is.Key, why)
		}
		if was.Backfill && !is.Backfill || was.Window && !is.Window {
			c.add("SC507", name, is.Key, was, "stream %q no longer reads the ranges that it was asked for (Window, Backfill)", is.Key)
		} else if len(was.Identity) > 0 && len(is.Identity) > 0 && !slices.Equal(was.Identity, is.Identity) {
			c.add("SC507", name, is.Key, was, "keys of stream %q were made by %s and are made by %s now: what was recorded may be recorded again",
				is.Key, strings.Join(was.Identity, ", "), strings.Join(is.Identity, ", "))
		}
	}
}

// former are all keys that the stream had before, the last one first.
func (s Stream) former() []string {
	if s.RenamedFrom == "" {
		return s.FormerKeys
	}
	return append([]string{s.RenamedFrom}, s.FormerKeys...)
}

// unnamed are the former keys that the stream does not name any more. A key that
// it has again is none.
func (s Stream) unnamed(is Stream) []string {
	return slices.DeleteFunc(s.former(), func(key string) bool { return key == is.Key || slices.Contains(is.former(), key) })
}

// lost reports a stream that is neither there nor renamed.
func (c *comparison) lost(was Stream) {
	var fresh []string
	for _, s := range c.is.Streams {
		known := slices.ContainsFunc(c.was.Streams, func(o Stream) bool { return o.Key == s.Key })
		if !known && len(s.former()) == 0 && s.Mode == was.Mode {
			fresh = append(fresh, s.Key)
		}
	}
	todo := "if it has another key now, say RenamedFrom: %q there"
	renamed := ""
	if len(fresh) == 1 {
		renamed = fresh[0]
		todo = "if it is " + fmt.Sprintf("%q", renamed) + " now, say RenamedFrom: %q there"
	}
	what := "its events"
	if was.Mode == catalog.ModePoll {
		what = "its checkpoint and events"
	}
	c.add("SC505", "."+was.Key, "", was, "stream %q of connector %q is gone: connections lose %s; "+todo, was.Key, c.was.Key, what, was.Key)
	c.changes[len(c.changes)-1].Renamed = renamed
}

// cursorChange says why saved cursors cannot be read any more, or "".
func cursorChange(was, is *Cursor) string {
	switch {
	case was == nil || is == nil || was.bare() == is.bare():
		return ""
	case was.Version == is.Version:
		return fmt.Sprintf("its cursor type has other fields, and saved cursors cannot be read; set CursorVersion: %d and add framework.FromVersion(%d, …) to its sync route", is.Version+1, was.Version)
	case is.Version < was.Version:
		return fmt.Sprintf("CursorVersion went back from %d to %d, and saved cursors are not read; it only grows", was.Version, is.Version)
	case slices.Contains(is.Migrates, was.Version):
		return ""
	}
	return fmt.Sprintf("CursorVersion went from %d to %d, and nothing reads the cursors of version %d; add framework.FromVersion(%d, …) to its sync route", was.Version, is.Version, was.Version, was.Version)
}

// shape is what a checkpoint says about its cursor.
type shape struct {
	Type    string
	Version int
}

func (c *Cursor) bare() shape { return shape{c.Type, c.Version} }

func (c *comparison) endpoints() {
	for _, was := range c.was.Endpoints {
		i := slices.IndexFunc(c.is.Endpoints, func(e Endpoint) bool { return e.Path == was.Path })
		switch {
		case i < 0:
			c.add("SC507", "/"+was.Path, "", was, "endpoint %q of connector %q is gone: whoever sends to it gets 404", was.Path, c.was.Key)
		case c.is.Endpoints[i].Auth != was.Auth:
			c.add("SC507", "/"+was.Path, "", was, "endpoint %q of connector %q was verified as %s and is verified as %s now: every connection needs another secret",
				was.Path, c.was.Key, was.Auth, c.is.Endpoints[i].Auth)
		}
	}
}

func (c *comparison) actions() {
	for _, was := range c.was.Actions {
		if !slices.Contains(c.is.Actions, was) {
			c.add("SC508", "!"+was.Key, "", was, "action %q of connector %q is gone: triggers that name it do not start; keep the key", was.Key, c.was.Key)
		}
	}
}

// Open returns the changes that nobody accepted.
func Open(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Reason != "" })
}

// Accept returns now, with a reason for each open change of the subject. It fails
// when there is none.
func Accept(before, now Lock, subject, reason string) (Lock, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return Lock{}, fmt.Errorf("accept %s: a reason is needed", subject)
	}
	var subjects []string
	accepted := slices.Clone(now.Accepted)
	for _, c := range Open(Compare(before, now)) {
		if c.Subject == subject {
			accepted = append(accepted, Acceptance{c.Rule, c.Subject, c.Was, reason})
		}
		subjects = append(subjects, c.Subject)
	}
	if len(accepted) == len(now.Accepted) {
		if len(subjects) == 0 {
			return Lock{}, fmt.Errorf("accept %s: no change needs a reason", subject)
		}
		return Lock{}, fmt.Errorf("accept %s: no change of that name; those without a reason are %s", subject, strings.Join(slices.Compact(subjects), ", "))
	}
	now.Accepted = accepted
	return now, nil
}
