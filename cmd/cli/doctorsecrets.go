package cli

import (
	"bytes"
	"os"
	"slices"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/webhook"
)

// writtenOut is the length from which a secret is looked for in the file.
const writtenOut = 8

// secrets looks at those that the file gives: that they are there the configuration
// has said.
func (d *doctor) secrets(file string, c *config.File) {
	if c.Path == "" {
		return // the file could not be loaded
	}
	text, _ := os.ReadFile(file)
	info, err := os.Stat(file)
	readable := err == nil && info.Mode().Perm()&0o044 != 0
	count, plain, wrong := 0, 0, false
	for _, connection := range c.Connections {
		i := slices.IndexFunc(d.plugins, func(p framework.Plugin) bool { return p.Key() == connection.Connector })
		if i < 0 {
			continue
		}
		plugin := d.plugins[i]
		if as, ok := plugin.AsSink(); ok && connection.Type == "sink" {
			plugin = as
		}
		for _, value := range secretTexts(plugin, connection) {
			count++
			if len(value) >= writtenOut && bytes.Contains(text, []byte(value)) {
				plain++
			}
		}
		wrong = d.expired(plugin, connection) || wrong
	}
	if token := c.AdminToken; token != "" {
		count++
		if len(token) >= writtenOut && bytes.Contains(text, []byte(token)) {
			plain++
		}
	}
	switch {
	case plain > 0 && readable:
		d.add("secrets", "warning", "chmod 600 the file, or write ${NAME} or ${file:PATH} instead", "%s holds %d secrets itself, and others on this machine may read it", file, plain)
	case !wrong:
		d.add("secrets", "ok", "", "%d secrets, %d of them written in the file itself", count, plain)
	}
}

// secretTexts are the secrets in the settings of a connection.
func secretTexts(p framework.Plugin, c config.Connection) (found []string) {
	for _, path := range p.SecretSettings() {
		list, err := webhook.SecretsOf(framework.SettingAt(c.Settings, path))
		if err != nil {
			continue // the configuration says what is wrong
		}
		for _, s := range list {
			found = append(found, s.Value)
		}
	}
	return found
}

// expired looks for webhook secrets whose time is over.
func (d *doctor) expired(p framework.Plugin, c config.Connection) (found bool) {
	declared, err := p.Declare(c.Settings)
	if err != nil || !c.Enabled {
		return false
	}
	for _, e := range declared.Endpoints {
		secrets, err := webhook.ReadSecrets(e.Spec(), func(name string) any { return framework.SettingAt(c.Settings, name) })
		if err != nil {
			continue
		}
		for setting, list := range secrets {
			over := 0
			for _, s := range list {
				if !s.Until.IsZero() && s.Until.Before(d.now()) {
					over++
				}
			}
			if over == 0 {
				continue
			}
			found = true
			if over == len(list) {
				d.add("secrets", "error", "give the secret that the provider signs with now", "%s, endpoint %s: every secret of %s has expired, so every webhook is refused", c.Name, e.Path(), setting)
				continue
			}
			d.add("secrets", "warning", "take them out of the file", "%s, endpoint %s: %d of %d secrets of %s have expired", c.Name, e.Path(), over, len(list), setting)
		}
	}
	return found
}
