package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/servertls"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// File is a checked weir.yaml.
type File struct {
	// Path is where it was read from.
	Path string
	// Listen is the address of the server; "" for the default.
	Listen string
	// ListenPublic is the address of a second server that takes webhooks only; ""
	// for none.
	ListenPublic string
	// ConnectListen is the address of a server with the Kafka Connect API alone; ""
	// for none. The first server has it too.
	ConnectListen string
	// TLS names the files that both servers present; empty for plain HTTP.
	TLS servertls.Files
	// PublicURL is how the outside reaches the server, for URLs that are shown.
	PublicURL string
	// AllowedHosts are further Host names that the management pages answer to.
	AllowedHosts []string
	// AdminToken protects the management API and the dashboard.
	AdminToken string
	// Secrets say how secrets are kept that do not stand in this file.
	Secrets Secrets
	// Store is the URL of the store, such as "sqlite:weir.db"; "" for the default.
	Store string
	// StoreDirect is the URL of the same PostgreSQL database without a pooler in
	// between, "" for Store; nodes listen there for what others record.
	StoreDirect string
	// DataDir is the folder of everything that Weir keeps on disk.
	DataDir string
	// AllowPrivate are private networks that connectors may call.
	AllowPrivate []netip.Prefix
	// TrustedProxies are those whose X-Forwarded-For is believed where an endpoint
	// allows only some addresses.
	TrustedProxies []netip.Prefix
	// DrainDelay is how long the server goes on after it says that it is not ready.
	DrainDelay time.Duration
	// NoSpread has streams run at the very ticks of their schedules.
	NoSpread bool
	// Retention is what is kept of connections that say nothing else.
	Retention store.Retention
	// Projects are the projects besides "default".
	Projects []Project
	// Connections are in the order of the file.
	Connections []Connection
	// Warnings are findings that refuse nothing.
	Warnings Problems
}

// Project is a namespace of connections.
type Project struct{ Name, Description string }

// Connection is one configured connection.
type Connection struct {
	Project, Name, DisplayName string
	// Description says what it is for; Labels are what it is found by.
	Description string
	Labels      map[string]string
	// Extra is kept for those who asked, and means nothing here.
	Extra map[string]string
	// Document is the connection as it is written, references and all.
	Document map[string]any
	// Connector is the key of the connector.
	Connector string
	// Type is "source", "sink" or "trigger".
	Type string
	// Streams are the keys of the streams to run; empty for all. Of a sink they
	// are what it subscribes to, see [Subscribed]; empty for nothing.
	Streams []string
	// Start says where a sink begins in a stream that is new to it; "" for earliest.
	Start sink.Start
	// Settings are the connector's settings with references resolved.
	Settings map[string]any
	// Endpoints are what the operator decides for webhook endpoints, by path.
	Endpoints map[string]intake.Policy
	Enabled   bool
	// Retention is what is kept of this connection; nil for that of the file.
	Retention *store.Retention
	// RateLimit bounds the requests to the provider. Connections of a project
	// that name the same Budget share one.
	RateLimit budget.Rate
	Budget    string
}

// Problem is one error of a configuration file.
type Problem struct {
	File         string
	Line, Column int
	Message      string
	// Rule is the id of the catalog rule that is broken, or "". Message begins
	// with it.
	Rule string
	// Path is that of the value in a document, such as "config.headers[0].name",
	// and "" in a file.
	Path string
	// unparsable says that nothing of the file could be read.
	unparsable bool
	// Edit mends it, nil where only somebody who knows what is meant can.
	Edit *Edit
}

// String formats the problem as file:line:column: message, or path: message.
func (p Problem) String() string {
	if p.File == "" && p.Path != "" {
		return p.Path + ": " + p.Message
	}
	if p.File == "" {
		return p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems are all errors of a configuration file.
type Problems []Problem

// Unparsable reports that the file is no YAML, so that nothing of it was checked.
func (p Problems) Unparsable() bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return one.unparsable })
}

// Error lists every problem, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}
