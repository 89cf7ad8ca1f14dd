package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store/open"
)

// finding is one thing that the doctor has looked at.
type finding struct {
	Check string `json:"check"`
	// Level is "ok", "skipped", "warning" or "error".
	Level  string `json:"level"`
	Detail string `json:"detail"`
	// Do says what to do about it.
	Do string `json:"do,omitempty"`
}

const (
	doctorTimeout = 30 * time.Second
	dialTimeout   = 5 * time.Second
	// skewAllowed is how far the database's clock may be from ours.
	skewAllowed = 2 * time.Second
	// diskLow is the free part of a disk, in percent, below which it is a finding.
	diskLow = 10
)

// doctor collects findings.
type doctor struct {
	plugins  []framework.Plugin
	findings []finding
}

func (d *doctor) add(check, level, do, format string, args ...any) {
	d.findings = append(d.findings, finding{check, level, fmt.Sprintf(format, args...), do})
}

func (a *app) doctor() *cobra.Command {
	var f serverFlags
	var c client
	var file string
	var asJSON, offline bool
	command := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, and say what to do", Args: cobra.NoArgs,
		Long: "Look at the configuration with its secrets, the store, clocks, disk, standbys, schedules, the hosts that\n" +
			"connections call, and the streams of a running Weir. Nothing is changed. It exits with 1 when something\n" +
			"is wrong. What another machine has to do with it is left out with --offline.",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), doctorTimeout)
			defer cancel()
			d := &doctor{plugins: a.plugins}
			loaded := d.configuration(file)
			if loaded == nil {
				loaded = &config.File{}
			}
			f.apply(loaded)
			d.disk(loaded.DataDir)
			d.store(ctx, loaded)
			d.schedules(loaded)
			if !offline {
				d.hosts(ctx, loaded)
			}
			d.server(ctx, &c)
			return a.printFindings(d.findings, asJSON)
		},
	}
	f.register(command, "info")
	command.Flags().StringVarP(&file, "config", "c", "weir.yaml", "configuration file")
	command.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	command.Flags().BoolVar(&offline, "offline", false, "do not call the hosts of the connections")
	command.Flags().StringVar(&c.server, "server", "http://127.0.0.1:9657", "address of the running server")
	command.Flags().StringVar(&c.project, "project", "default", "project of the connections that are asked for")
	command.PreRun = func(*cobra.Command, []string) { c.token = f.token }
	return command
}

// configuration loads the file; its errors name missing secrets too.
func (d *doctor) configuration(file string) *config.File {
	loaded, err := config.Load(file, d.plugins)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			d.add("configuration", "error", "mend this line of the file", "%s", p)
		}
		return nil
	case errors.Is(err, os.ErrNotExist):
		d.add("configuration", "error", "name the file with --config, or write one with weir init", "there is no file %s", file)
		return nil
	case err != nil:
		d.add("configuration", "error", "make the file readable", "%v", err)
		return nil
	}
	d.add("configuration", "ok", "", "%s: %d connections, every secret is there", file, len(loaded.Connections))
	for _, w := range loaded.Warnings {
		d.add("configuration", "warning", "change the setting", "%v", w)
	}
	return loaded
}

func (d *doctor) disk(folder string) {
	for { // a folder that is not there yet will lie in its parent
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	free, all, err := freeSpace(folder)
	switch {
	case err != nil:
		d.add("disk", "skipped", "", "free space of %s: %v", folder, err)
		return
	case all > 0 && free*100/all < diskLow:
		d.add("disk", "error", "make room, or move the data folder: below 5 % webhooks are refused", "%s has %d MiB free, %d %% of the disk", folder, free>>20, free*100/all)
	default:
		d.add("disk", "ok", "", "%s has %d MiB free, %d %% of the disk", folder, free>>20, free*100/max(all, 1))
	}
	probe, err := os.CreateTemp(folder, ".weir-doctor-")
	if err != nil {
		d.add("disk", "error", "give this user the right to write there", "%s cannot be written: %v", folder, err)
		return
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
}

func (d *doctor) store(ctx context.Context, c *config.File) {
	p, err := open.Inspect(ctx, c.Store, c.DataDir)
	switch {
	case err != nil && p.Folder != "":
		d.add("store", "error", "let this user read and write the folder; if SQLite itself says so, the file is damaged: restore a backup with weir restore", "SQLite in %s: %v", p.Folder, err)
		return
	case err != nil:
		d.add("store", "error", "start the database, or correct the store's address", "%v", err)
		return
	case p.Database == nil:
		d.file(p)
		return
	}
	db := p.Database
	switch {
	case db.ReadOnly:
		d.add("store", "error", "name all hosts of the cluster in the URL, with target_session_attrs=read-write", "PostgreSQL: this server is a standby and cannot be written")
	case db.Schema > db.Known:
		d.add("store", "error", "run the newer Weir", "PostgreSQL: the schema has version %d, this Weir knows up to %d", db.Schema, db.Known)
	default:
		d.add("store", "ok", "", "PostgreSQL: schema %d of %d, %s round trip", db.Schema, db.Known, db.RoundTrip.Round(time.Microsecond*100))
	}
	if skew := db.Skew.Abs() - db.RoundTrip/2; skew > skewAllowed {
		d.add("clock", "error", "let both machines follow a time server (chrony, systemd-timesyncd)", "the database's clock differs from this machine's by %s", db.Skew.Round(time.Millisecond))
	} else {
		d.add("clock", "ok", "", "the database's clock differs by %s", db.Skew.Round(time.Millisecond))
	}
	switch {
	case db.Synchronous > 0:
		d.add("standby", "ok", "", "%d of %d standbys are synchronous", db.Synchronous, db.Standbys)
	case db.Standbys > 0:
		d.add("standby", "warning", "set synchronous_standby_names, or accept that a failover may lose the last commits", "%d standbys, none of them synchronous", db.Standbys)
	default:
		d.add("standby", "warning", "add a synchronous standby, or accept that the loss of this server loses what came after the last backup", "the database has no standby that this user can see")
	}
}

// file tells of a SQLite store. Its clock is this machine's.
func (d *doctor) file(p open.Place) {
	f := p.File
	switch {
	case !f.Exists:
		d.add("store", "ok", "", "SQLite in %s, which the first start makes", p.Folder)
		return
	case f.InUse:
		d.add("store", "skipped", "", "SQLite in %s is in use; its file is looked at when nobody works on it", p.Folder)
	case f.Schema > f.Known:
		d.add("store", "error", "run the newer Weir, or restore a backup made by this one", "SQLite in %s: the schema has version %d, this Weir knows up to %d", p.Folder, f.Schema, f.Known)
	case len(f.Faults) > 0:
		d.add("store", "error", "restore the last backup with weir restore, and look at the disk", "SQLite in %s is damaged: %s", p.Folder, strings.Join(f.Faults, "; "))
	case f.Unchecked:
		d.add("store", "skipped", "", "SQLite in %s: schema %d of %d, %d MiB; the check of its pages took too long", p.Folder, f.Schema, f.Known, f.Bytes>>20)
	default:
		d.add("store", "ok", "", "SQLite in %s: schema %d of %d, every page is sound, %d MiB, %d MiB of them free", p.Folder, f.Schema, f.Known, f.Bytes>>20, f.Free>>20)
	}
	d.add("standby", "skipped", "", "SQLite has none; make backups with weir backup")
}

// manifest is what a connection declares, "" problem for none.
func (d *doctor) manifest(c config.Connection) (catalog.Manifest, bool) {
	i := slices.IndexFunc(d.plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector })
	if i < 0 {
		return catalog.Manifest{}, false
	}
	declared, err := d.plugins[i].Declare(c.Settings)
	if err != nil {
		return catalog.Manifest{}, false // the configuration says why
	}
	return declared.Manifest(), true
}

func (d *doctor) schedules(c *config.File) {
	streams, wrong := 0, 0
	for _, connection := range c.Connections {
		m, _ := d.manifest(connection)
		for _, s := range m.Streams {
			if s.Mode != catalog.ModePoll {
				continue
			}
			streams++
			for _, p := range schedule.Check(s.Schedule) {
				wrong++
				d.add("schedules", "warning", "correct the schedule in the connector", "%s.%s, %q: %s", connection.Name, s.Key, s.Schedule, p.Message)
			}
		}
	}
	if wrong == 0 {
		d.add("schedules", "ok", "", "%d polled streams", streams)
	}
}

// hosts dials every host that an enabled connection names.
func (d *doctor) hosts(ctx context.Context, c *config.File) {
	connections := map[string][]string{}
	for _, connection := range c.Connections {
		m, ok := d.manifest(connection)
		if !ok || !connection.Enabled {
			continue
		}
		for _, h := range m.Hosts {
			if !strings.HasPrefix(h, "*.") {
				connections[h] = append(connections[h], connection.Name)
			}
		}
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for host, names := range connections {
		group.Go(func() {
			address, plain := strings.CutPrefix(host, "http://")
			if _, _, err := net.SplitHostPort(address); err != nil {
				port := "443"
				if plain {
					port = "80"
				}
				address = net.JoinHostPort(address, port)
			}
			dial, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				d.add("hosts", "error", "look at the name, DNS, the firewall and outgoing connections of this machine", "%s (%s) cannot be reached: %v", address, strings.Join(names, ", "), err)
				return
			}
			_ = dial.Close()
			d.add("hosts", "ok", "", "%s answers", address)
		})
	}
	group.Wait()
	slices.SortStableFunc(d.findings, func(x, y finding) int {
		if x.Check == "hosts" && y.Check == "hosts" {
			return strings.Compare(x.Detail, y.Detail)
		}
		return 0
	})
}

// server asks a running Weir for the health of its streams.
func (d *doctor) server(ctx context.Context, c *client) {
	var list struct {
		Streams []struct {
			streamRow
			Alarms []struct{ Kind, Detail string }
		}
	}
	if err := c.call(ctx, http.MethodGet, c.path("streams"), map[string][]string{"limit": {"1000"}}, &list); err != nil {
		coded, ok := errors.AsType[*exitError](err)
		if ok && coded.code == exitUnreachable {
			d.add("streams", "skipped", "", "no Weir answers at %s", c.where())
			return
		}
		d.add("streams", "error", "give --admin-token, or look at the server's log", "%v", err)
		return
	}
	wrong := 0
	for _, s := range list.Streams {
		name := s.Connection + "." + s.Stream
		if s.State == "failing" && s.LastError != nil {
			wrong++
			d.add("streams", "error", "mend the cause; weir sync "+s.Connection+" "+s.Stream+" shows whether it works", "%s is failing: %s", name, *s.LastError)
		}
		for _, alarm := range s.Alarms {
			wrong++
			d.add("streams", "warning", "open the stream's page, or weir events "+s.Connection+" "+s.Stream, "%s, %s: %s", name, alarm.Kind, alarm.Detail)
		}
	}
	if wrong == 0 {
		d.add("streams", "ok", "", "%d streams, none is failing or late", len(list.Streams))
	}
}

func (a *app) printFindings(list []finding, asJSON bool) error {
	wrong := 0
	for _, f := range list {
		if f.Level == "error" || f.Level == "warning" {
			wrong++
		}
	}
	if asJSON {
		out, err := json.MarshalIndent(map[string]any{"findings": list, "wrong": wrong}, "", "  ")
		if err != nil {
			return failed(err)
		}
		a.printf("%s\n", out)
	} else {
		for _, f := range list {
			a.printf("%-8s %-14s %s\n", f.Level, f.Check, strings.ReplaceAll(f.Detail, "\n", "\n"+strings.Repeat(" ", 24)))
			if f.Do != "" {
				a.printf("%-8s %-14s -> %s\n", "", "", f.Do)
			}
		}
	}
	if wrong > 0 {
		return &exitError{exitFailed, nil}
	}
	return nil
}
