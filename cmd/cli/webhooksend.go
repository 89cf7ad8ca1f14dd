package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// hook is a webhook endpoint of the configuration file, and a request for it.
type hook struct {
	file, project string
	bodyFile      string
	headers       []string
	keyFile       string
	certFile      string
	caFile        string

	spec   catalog.EndpointSpec
	config webhook.Config
	server string
}

func (h *hook) flags(command *cobra.Command) {
	command.Flags().StringVarP(&h.file, "config", "c", "weir.yaml", "configuration file, for the endpoint and its secrets")
	command.Flags().StringVar(&h.project, "project", "default", "project of the connection")
	command.Flags().StringVarP(&h.bodyFile, "file", "f", "", `file with the body, "-" for standard input`)
	command.Flags().StringArrayVarP(&h.headers, "header", "H", nil, `header of the request, "Name: value"; may be repeated`)
}

// load finds the endpoint of a connection in the configuration file.
func (a *app) endpoint(h *hook, connection, path string) error {
	loaded, err := config.Load(h.file, a.plugins)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		a.notef("%v\n", problems)
		return &exitError{exitUsage, nil}
	case errors.Is(err, fs.ErrNotExist):
		return wrongUsage(fmt.Errorf("there is no file %s; name one with --config: the endpoint's secrets stand in it", h.file))
	case err != nil:
		return wrongUsage(err)
	}
	at := slices.IndexFunc(loaded.Connections, func(c config.Connection) bool { return c.Project == h.project && c.Name == connection })
	if at < 0 {
		return wrongUsage(fmt.Errorf("%s has no connection %q in project %q", h.file, connection, h.project))
	}
	c := loaded.Connections[at]
	plugin := a.plugins[slices.IndexFunc(a.plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector })]
	declared, err := plugin.Declare(c.Settings)
	if err != nil {
		return wrongUsage(err)
	}
	var known []string
	for _, e := range declared.Endpoints {
		known = append(known, e.Path())
		if e.Path() != path {
			continue
		}
		h.spec = e.Spec()
		h.config.PublicURL = loaded.PublicURL
		h.config.Client = httpguard.New(httpguard.Config{AllowLoopback: true}).Client
		h.config.Secrets, err = webhook.ReadSecrets(h.spec, func(name string) any { return framework.SettingAt(c.Settings, name) })
		if err != nil {
			return wrongUsage(err)
		}
		h.server = "http://" + localAddress(loaded.Listen)
		if loaded.TLS.Cert != "" {
			h.server = "https://" + localAddress(loaded.Listen)
		}
		return nil
	}
	return wrongUsage(fmt.Errorf("connection %q has no endpoint %q; it has %s", connection, path, strings.Join(known, ", ")))
}

// localAddress is where this machine reaches a listener.
func localAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "127.0.0.1:9657"
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// request reads the body and the headers that were given.
func (h *hook) request(in io.Reader) (webhook.Request, error) {
	r := webhook.Request{Method: http.MethodPost, Header: http.Header{}}
	var err error
	switch h.bodyFile {
	case "":
		return r, wrongUsage(errors.New("give the body with --file"))
	case "-":
		r.Body, err = io.ReadAll(io.LimitReader(in, webhook.MaxMaxBody+1))
	default:
		r.Body, err = os.ReadFile(h.bodyFile)
	}
	if err != nil {
		return r, wrongUsage(fmt.Errorf("read the body: %w", err))
	}
	return r, h.addHeaders(r.Header)
}

func (h *hook) addHeaders(to http.Header) error {
	for _, text := range h.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return wrongUsage(fmt.Errorf(`--header %q is not of the form "Name: value"`, text))
		}
		to.Add(strings.TrimSpace(name), strings.TrimPrefix(value, " "))
	}
	return nil
}

func hookURI(project, connection, path, query string) string {
	uri := "/webhooks/" + url.PathEscape(connection) + "/" + url.PathEscape(path)
	if project != "default" {
		uri = "/p/" + url.PathEscape(project) + uri
	}
	if query != "" {
		uri += "?" + query
	}
	return uri
}

func (a *app) webhookSend() *cobra.Command {
	var h hook
	var server, id, query string
	command := &cobra.Command{
		Use: "send <connection> <path>", Short: "Sign a delivery as its sender would, and send it", Args: cobra.ExactArgs(2),
		Long: "Sign a body with the endpoint's own scheme and secret, as they stand in the configuration file, and\n" +
			"send it to the running Weir. It exits with 1 when the answer is no 2xx, and with 3 when nothing answers.",
		Example: "  weir webhook send shop stripe --file event.json\n  weir webhook send shop github --file push.json -H 'X-GitHub-Event: push'",
		RunE: func(command *cobra.Command, args []string) error {
			if err := a.endpoint(&h, args[0], args[1]); err != nil {
				return err
			}
			r, err := h.request(command.InOrStdin())
			if err != nil {
				return err
			}
			r.URI = hookURI(h.project, args[0], args[1], query)
			if r.Header.Get("Content-Type") == "" {
				r.Header.Set("Content-Type", "application/json")
			}
			if id == "" {
				id = store.NewID("msg_", time.Now())
			}
			if server == "" {
				server = h.server
			}
			client, err := h.client(server)
			if err != nil {
				return err
			}
			if err := h.useKey(); err != nil {
				return err
			}
			if err := webhook.SignRequest(h.spec, h.config, time.Now(), id, &r); err != nil {
				return failed(err)
			}
			return a.deliver(command.Context(), client, strings.TrimSuffix(server, "/"), r)
		},
	}
	h.flags(command)
	command.Flags().StringVar(&server, "server", "", "address of the running server (default: listen of the configuration file)")
	command.Flags().StringVar(&id, "id", "", "the sender's id of the delivery (default: a new one)")
	command.Flags().StringVar(&query, "query", "", "query of the address, without ?")
	command.Flags().StringVar(&h.keyFile, "key", "", "file with the sender's private key as PEM, for schemes whose secret is a public key, or with --cert")
	command.Flags().StringVar(&h.certFile, "cert", "", "file with the sender's client certificate as PEM, for mtls; --key is its key")
	command.Flags().StringVar(&h.caFile, "ca", "", "file with the authority of the server's certificate as PEM (default: the system's)")
	return command
}

// client makes the client that sends: with the sender's certificate, if one is
// given. The server is the operator's own; what is signed must not go elsewhere.
func (h *hook) client(server string) (*http.Client, error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if h.certFile == "" && h.caFile == "" {
		if h.spec.Auth == catalog.AuthMTLS {
			return nil, wrongUsage(errors.New("the endpoint asks for a client certificate; give it with --cert and --key"))
		}
		return client, nil
	}
	address, err := url.Parse(server)
	if err != nil || address.Scheme != "https" {
		return nil, wrongUsage(errors.New("--cert and --ca need a server with TLS; set --server to its https:// address"))
	}
	var secure httpguard.TLS
	for _, part := range []struct {
		flag, file string
		to         *string
	}{{"--cert", h.certFile, &secure.Certificate}, {"--key", h.keyFile, &secure.Key}, {"--ca", h.caFile, &secure.CA}} {
		if part.file == "" || part.flag == "--key" && h.certFile == "" {
			continue
		}
		text, err := os.ReadFile(part.file)
		if err != nil {
			return nil, wrongUsage(fmt.Errorf("read %s: %w", part.flag, err))
		}
		*part.to = string(text)
	}
	if h.certFile != "" && h.keyFile == "" {
		return nil, wrongUsage(errors.New("--cert needs --key, the certificate's private key"))
	}
	// The operator's own server may be anywhere.
	everywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	guarded, err := httpguard.New(httpguard.Config{AllowLoopback: true, AllowPrefixes: everywhere}).NewClient(httpguard.Options{Hosts: []string{address.Hostname()}, TLS: secure})
	if err != nil {
		return nil, wrongUsage(fmt.Errorf("use --cert, --key and --ca: %w", err))
	}
	guarded.CheckRedirect = client.CheckRedirect
	return guarded, nil
}

// useKey puts the sender's private key in the place of the public one.
func (h *hook) useKey() error {
	if h.keyFile == "" || h.spec.Auth == catalog.AuthMTLS {
		return nil
	}
	text, err := os.ReadFile(h.keyFile)
	if err != nil {
		return wrongUsage(fmt.Errorf("read --key: %w", err))
	}
	name := h.spec.SecretSetting
	h.config.Secrets[name] = append(webhook.Plain(strings.TrimSpace(string(text))), h.config.Secrets[name]...)
	return nil
}

func (a *app) deliver(ctx context.Context, client *http.Client, server string, r webhook.Request) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, server+r.URI, bytes.NewReader(r.Body))
	if err != nil {
		return wrongUsage(errors.New("--server is no address such as http://127.0.0.1:9657"))
	}
	request.Header = r.Header
	response, err := client.Do(request)
	if err != nil {
		if _, inner, found := strings.Cut(err.Error(), "tls: "); found {
			return failed(fmt.Errorf("the certificates of %s and ours do not suit: %s", request.URL.Host, inner))
		}
		return unreachable(fmt.Errorf("no Weir answers at %s; start one with weir run, or set --server", request.URL.Host))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return unreachable(fmt.Errorf("read the answer: %w", err))
	}
	a.printf("%s\n", response.Status)
	if len(body) > 0 {
		a.printf("%s\n", bytes.TrimRight(body, "\n"))
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return &exitError{exitFailed, nil}
	}
	return nil
}

func (a *app) webhookVerify() *cobra.Command {
	var h hook
	var dump, at, method, query, remote string
	command := &cobra.Command{
		Use: "verify <connection> <path>", Short: "Explain why a captured request verifies or not", Args: cobra.ExactArgs(2),
		Long: "Verify a captured request as the endpoint would, and where it is refused try variants: of the time,\n" +
			"the bytes of the body, the headers, the address and the secret. Secrets are never printed. The request\n" +
			"is a body (--file) with headers, or a whole request as it came over the wire (--request). It exits with\n" +
			"1 when the request does not verify.",
		Example: "  weir webhook verify shop stripe --file body.json -H 'Stripe-Signature: t=1700000000,v1=…' --at 2026-01-02T15:04:05Z\n" +
			"  weir webhook verify shop slack --request captured.http",
		RunE: func(command *cobra.Command, args []string) error {
			if err := a.endpoint(&h, args[0], args[1]); err != nil {
				return err
			}
			r, err := h.captured(dump, command.InOrStdin())
			if err != nil {
				return err
			}
			if r.URI == "" {
				r.URI = hookURI(h.project, args[0], args[1], query)
			}
			if method != "" {
				r.Method = method
			}
			if r.Remote, err = netip.ParseAddr(remote); remote != "" && err != nil {
				return wrongUsage(errors.New("--remote is no address such as 192.0.2.1"))
			}
			now := time.Now()
			if at != "" {
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return wrongUsage(errors.New("--at is no time such as 2026-01-02T15:04:05Z"))
				}
			}
			e, err := webhook.Explain(h.spec, h.config, now, r)
			if err != nil {
				return failed(err)
			}
			if e.Verified {
				a.printf("verified: auth %s accepts this request\n", h.spec.Auth)
				return nil
			}
			a.printf("not verified: %s\n", e.Reason)
			for _, finding := range e.Findings {
				a.printf("  - %s\n", finding)
			}
			return &exitError{exitFailed, nil}
		},
	}
	h.flags(command)
	command.Flags().StringVar(&dump, "request", "", "file with the whole request: request line, headers, empty line, body")
	command.Flags().StringVar(&at, "at", "", "when the request came, RFC 3339 (default: now)")
	command.Flags().StringVar(&method, "method", "", "method of the request (default: POST)")
	command.Flags().StringVar(&query, "query", "", "query of the address, without ?")
	command.Flags().StringVar(&remote, "remote", "", "the sender's address, for allowed_ips")
	return command
}

// captured reads the request to verify.
func (h *hook) captured(dump string, in io.Reader) (webhook.Request, error) {
	if dump == "" {
		return h.request(in)
	}
	file, err := os.ReadFile(dump)
	if err != nil {
		return webhook.Request{}, wrongUsage(fmt.Errorf("read --request: %w", err))
	}
	head, body, crlf := bytes.Cut(file, []byte("\r\n\r\n"))
	if !crlf {
		var found bool
		if head, body, found = bytes.Cut(file, []byte("\n\n")); !found {
			return webhook.Request{}, wrongUsage(errors.New("--request holds no empty line between headers and body"))
		}
	}
	parsed, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(head, "\r\n\r\n"...))))
	if err != nil {
		return webhook.Request{}, wrongUsage(fmt.Errorf("--request is no HTTP request: %w", err))
	}
	// The body is what stands in the file, whatever Content-Length says.
	r := webhook.Request{Method: parsed.Method, URI: parsed.URL.RequestURI(), Header: parsed.Header, Body: body}
	r.Header.Set("Host", parsed.Host)
	return r, h.addHeaders(r.Header)
}
