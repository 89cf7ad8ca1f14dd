package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store/sqlite"
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
)

// doctor collects findings.
type doctor struct {
	plugins  []framework.Plugin
	findings []finding
	// space looks at the free space of a folder's disk.
	space func(folder string) (sqlite.Space, error)
	now   func() time.Time
}

func newDoctor(plugins []framework.Plugin) *doctor {
	return &doctor{plugins: plugins, space: sqlite.DiskSpace, now: time.Now}
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
			d := newDoctor(a.plugins)
			loaded := d.configuration(file)
			if loaded == nil {
				loaded = &config.File{}
			}
			f.apply(loaded)
			d.secrets(file, loaded)
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
	c.command = command
	command.Flags().StringVar(&c.server, "server", defaultServer, "address of the running server, without it as weir.yaml says")
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
	d.add("configuration", "ok", "", "%s: %d connections", file, len(loaded.Connections))
	for _, w := range loaded.Warnings {
		d.add("configuration", "warning", "change the setting", "%v", w)
	}
	return loaded
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

// hosts dials every host that an enabled connection declares, or names in a URL
// among its settings.
func (d *doctor) hosts(ctx context.Context, c *config.File) {
	connections := map[string][]string{}
	for _, connection := range c.Connections {
		if !connection.Enabled {
			continue
		}
		m, _ := d.manifest(connection)
		named := slices.DeleteFunc(slices.Clone(m.Hosts), func(h string) bool { return strings.HasPrefix(h, "*.") })
		named = append(named, urlHosts(connection.Settings)...)
		slices.Sort(named)
		for _, h := range slices.Compact(named) {
			connections[h] = append(connections[h], connection.Name)
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

// urlHosts are the hosts of the URLs in settings, as a manifest names them.
func urlHosts(setting any) (found []string) {
	switch v := setting.(type) {
	case map[string]any:
		for _, one := range v {
			found = append(found, urlHosts(one)...)
		}
	case []any:
		for _, one := range v {
			found = append(found, urlHosts(one)...)
		}
	case string:
		u, err := url.Parse(v)
		switch {
		case err != nil || u.Host == "" || strings.ContainsAny(u.Host, "{}"):
		case u.Scheme == "http":
			found = append(found, "http://"+u.Host)
		case u.Scheme == "https":
			found = append(found, u.Host)
		}
	}
	return found
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
			d.add("streams", "skipped", "", "no Weir answers at %s", c.place())
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
