package api

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// minToken is the length below which an admin token is refused: a shorter one
// could be guessed.
const minToken = 16

// ListenPolicy is what decides whether an address may be listened on.
type ListenPolicy struct {
	// Listen is the address, host:port.
	Listen string
	// Token is the admin token, or "".
	Token string
	// PublicURL and AllowedHosts admit other names for this process.
	PublicURL    string
	AllowedHosts []string
}

// CheckListen refuses a start that would leave the management API open: without
// an admin token, only a loopback address without other host names will do. It
// lists every fault.
func CheckListen(p ListenPolicy) error {
	var errs []error
	if _, _, err := net.SplitHostPort(p.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen %q: %w; write host:port, for example 127.0.0.1:9657", p.Listen, err))
	} else if p.Token == "" && !IsLoopback(p.Listen) {
		errs = append(errs, fmt.Errorf("listen %q is reachable from other machines and no admin token is set; set WEIR_ADMIN_TOKEN, or listen on 127.0.0.1", p.Listen))
	}
	if p.Token == "" {
		if p.PublicURL != "" {
			errs = append(errs, errors.New("public_url is set and no admin token is; set WEIR_ADMIN_TOKEN, or remove public_url"))
		}
		if len(p.AllowedHosts) > 0 {
			errs = append(errs, errors.New("allowed_hosts is set and no admin token is; set WEIR_ADMIN_TOKEN, or remove allowed_hosts"))
		}
	}
	if p.Token != "" && len(p.Token) < minToken {
		errs = append(errs, fmt.Errorf("the admin token has %d characters; it needs at least %d, for example from: openssl rand -hex 32", len(p.Token), minToken))
	}
	if len(strings.TrimSpace(p.Token)) != len(p.Token) {
		errs = append(errs, errors.New("the admin token begins or ends with a space; remove it"))
	}
	return errors.Join(errs...)
}

// IsLoopback reports that an address, host:port, can be reached from this
// machine only. A name other than localhost is never trusted to be.
func IsLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	return isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hostOf returns the host of a Host header, without port, brackets and case.
func hostOf(header string) string {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
