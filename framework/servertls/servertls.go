// Package servertls serves TLS with a certificate that is read from files, and
// read again when they change: certificates are renewed while a server runs.
//
// The files are looked at every few seconds, from [Source.Watch]. A new
// certificate and key are taken together or not at all: a half written file, or a
// key that does not belong to its certificate, keeps what was there before and
// says so. Connections that are open go on with what they began with.
//
// With a file of client authorities, a client may present a certificate, and one
// that does not lead to them ends the handshake. Nobody must: who may do what is
// for the handlers to say, from [net/http.Request.TLS].
package servertls

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// maxFileBytes bounds each of the files.
const maxFileBytes = 1 << 20

// lookEvery is how often the files are looked at.
const lookEvery = 5 * time.Second

// Files name what a server presents, in PEM.
type Files struct {
	// Cert holds the certificate, and those between it and its authority.
	Cert string
	// Key holds the private key.
	Key string
	// ClientCA holds the authorities of client certificates; "" asks for none.
	ClientCA string
}

// Enabled reports that there is something to serve TLS with.
func (f Files) Enabled() bool { return f != Files{} }

// Check says what is wrong with the names, without reading the files.
func (f Files) Check() error {
	switch {
	case f.Cert == "" && f.Key == "" && f.ClientCA != "":
		return errors.New("tls_client_ca is set without tls_cert and tls_key; client certificates need TLS")
	case f.Cert != "" && f.Key == "":
		return errors.New("tls_cert is set without tls_key; name the file of its private key")
	case f.Cert == "" && f.Key != "":
		return errors.New("tls_key is set without tls_cert; name the file of its certificate")
	}
	return nil
}

// Source is a certificate that follows its files.
type Source struct {
	files   Files
	log     *slog.Logger
	current atomic.Pointer[loaded]
	// refused is the last content that was no good, so that it is told of once.
	refused []byte
}

type loaded struct {
	content []byte
	config  *tls.Config
}

// New reads the files, and fails when they are no good. log gets every change.
func New(files Files, log *slog.Logger) (*Source, error) {
	if err := files.Check(); err != nil {
		return nil, err
	}
	s := &Source{files: files, log: log}
	content, parts, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("serve TLS: %w", err)
	}
	config, err := s.parse(parts)
	if err != nil {
		return nil, fmt.Errorf("serve TLS: %w", err)
	}
	s.current.Store(&loaded{content, config})
	return s, nil
}

// Config returns the configuration of a server that presents what the files hold
// at the time of each handshake.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().config, nil },
		// Not asked for, since the above answers; net/http looks whether it is there.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &s.current.Load().config.Certificates[0], nil
		},
	}
}

func protocols() []string { return []string{"h2", "http/1.1"} }

// Watch looks at the files until ctx ends.
func (s *Source) Watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.Reload()
		}
	}
}

// Reload looks at the files now and reports whether something new is presented.
func (s *Source) Reload() bool {
	content, parts, err := s.read()
	if err == nil && bytes.Equal(content, s.current.Load().content) {
		s.refused = nil
		return false
	}
	var config *tls.Config
	if err == nil {
		config, err = s.parse(parts)
	}
	if err != nil {
		// An unreadable file has no content; its error is what is told of once.
		if content == nil {
			content = []byte(err.Error())
		}
		if !bytes.Equal(content, s.refused) {
			s.refused = content
			s.log.Error("the new TLS certificate is no good; the one before is served on", "cert", s.files.Cert, "err", err)
		}
		return false
	}
	s.refused = nil
	s.current.Store(&loaded{content, config})
	s.log.Info("a new TLS certificate is served", "cert", s.files.Cert, "not_after", config.Certificates[0].Leaf.NotAfter)
	return true
}

// read returns the content of all files together, and of each.
func (s *Source) read() (all []byte, parts [3][]byte, err error) {
	for i, path := range []string{s.files.Cert, s.files.Key, s.files.ClientCA} {
		if path == "" {
			continue
		}
		if parts[i], err = readFile(path); err != nil {
			return nil, parts, err
		}
		all = append(append(all, parts[i]...), 0)
	}
	return all, parts, nil
}

func readFile(path string) (content []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return content, err
}

func (s *Source) parse(parts [3][]byte) (*tls.Config, error) {
	certificate, err := tls.X509KeyPair(parts[0], parts[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", s.files.Cert, s.files.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols(), Certificates: []tls.Certificate{certificate}}
	if s.files.ClientCA != "" {
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
		if !c.ClientCAs.AppendCertsFromPEM(parts[2]) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", s.files.ClientCA)
		}
	}
	return c, nil
}
