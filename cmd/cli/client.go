package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/reference"
)

// client calls the management API of a running Weir.
type client struct {
	server string
	// token is what the caller has, and admin the admin token, which serves where
	// there is no other.
	token   string
	admin   string
	project string
	http    *http.Client
	// command is whose flags these are, and listed names the file that says where
	// the server listens, "" for none.
	command *cobra.Command
	listed  string
	// file is the name of the file that a body is of, "" for none.
	file string
}

// serverFlags adds the flags that say which server is meant.
func (c *client) serverFlags(command *cobra.Command) {
	c.command = command
	command.Flags().StringVar(&c.server, "server", defaultServer, "address of the running server, without it as weir.yaml says")
	command.Flags().StringVar(&c.token, "token", "", "token of the management API, as weir token create makes it")
	command.Flags().StringVar(&c.admin, "admin-token", "", "admin token of the server, for want of another")
}

// flags adds the flags that say which server and which project is meant.
func (c *client) flags(command *cobra.Command) {
	c.serverFlags(command)
	command.Flags().StringVar(&c.project, "project", "default", "project of the connection")
}

// maxAnswer bounds what the client reads from the server.
const maxAnswer = 64 << 20

// problem is an RFC 9457 problem document. Its detail names every fault.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (p problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// defaultServer is where a server is that nothing else is said of.
const defaultServer = "http://127.0.0.1:9657"

// find has the server be the one that the file in this folder is of, where none is
// named.
func (c *client) find() {
	if c.command == nil || c.command.Flags().Changed("server") || c.server != defaultServer {
		return
	}
	file := defaultConfig
	if given := c.command.Flags().Lookup("config"); given != nil && given.Value.String() != "" {
		file = given.Value.String()
	}
	if server := serverOf(file); server != "" {
		c.server, c.listed = server, file
	}
}

// serverOf is where this machine reaches the server of a configuration file; ""
// for a file that does not say it. What else is wrong with it does not matter here.
func serverOf(file string) string {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > config.MaxFileBytes {
		return ""
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	var says struct {
		Listen string `yaml:"listen"`
		Cert   string `yaml:"tls_cert"`
	}
	if yaml.Unmarshal(content, &says) != nil || says.Listen == "" {
		return ""
	}
	listen, err := reference.Policy{Free: true}.Expand(says.Listen)
	if err != nil {
		return ""
	}
	scheme := "http://"
	if says.Cert != "" {
		scheme = "https://"
	}
	return scheme + localAddress(listen)
}

// place is where the server was looked for, and why there.
func (c *client) place() string {
	if c.listed != "" {
		return c.where() + " (listen of " + c.listed + ")"
	}
	return c.where()
}

// where is the server's address as it may be shown.
func (c *client) where() string {
	u, err := url.Parse(c.server)
	if err != nil {
		return "the address of --server"
	}
	return u.Redacted()
}

// call sends one request and decodes the answer into out. Its errors carry the
// exit code: 3 when nothing answers there, 1 when the server refuses.
func (c *client) call(ctx context.Context, method, path string, query url.Values, out any) error {
	return c.send(ctx, method, path, query, nil, out)
}

// send is call with a body of JSON, if there is one.
func (c *client) send(ctx context.Context, method, path string, query url.Values, content []byte, out any) error {
	return c.sendAs(ctx, method, path, query, "application/json", content, out)
}

// sendAs is send with a body of the given type.
func (c *client) sendAs(ctx context.Context, method, path string, query url.Values, contentType string, content []byte, out any) error {
	if c.http == nil {
		// The server is the operator's own, so this client needs no guard; it
		// must not send the token to where a redirect points.
		c.http = &http.Client{
			Timeout:       2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	c.find()
	target := strings.TrimSuffix(c.server, "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(content))
	if err != nil {
		return wrongUsage(errors.New("--server is no address such as http://127.0.0.1:9657"))
	}
	request.Header.Set("Accept", "application/json")
	if len(content) > 0 {
		request.Header.Set("Content-Type", contentType)
	}
	if c.file != "" {
		request.Header.Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": c.file}))
	}
	if token := cmp.Or(c.token, c.admin); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return failed(errors.New("interrupted"))
		}
		return unreachable(fmt.Errorf("no Weir answers at %s; start one with weir run or weir demo, or set --server", c.place()))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return unreachable(fmt.Errorf("read the answer of %s: %w", c.where(), err))
	}
	if response.StatusCode >= 300 {
		p := problem{Title: fmt.Sprintf("%s answered %s", c.where(), response.Status)}
		_ = json.Unmarshal(body, &p)
		if response.StatusCode == http.StatusUnauthorized {
			p.Detail = c.where() + " wants a token; give --token, or set WEIR_TOKEN (or WEIR_ADMIN_TOKEN)"
			if c.token != "" || c.admin != "" {
				p.Detail = c.where() + " does not know this token, or it has ended; give another with --token, or set WEIR_TOKEN"
			}
		}
		return failed(p)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return failed(fmt.Errorf("%s does not answer as Weir does: %w", c.where(), err))
	}
	return nil
}

func (c *client) path(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return "/api/v1/projects/" + url.PathEscape(c.project) + "/" + strings.Join(escaped, "/")
}
