package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"
)

// aside serves on a socket what only the process itself knows: how many goroutines
// it has.
func aside(ctx context.Context, path string) (stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintln(w, runtime.NumGoroutine()-1) // not the one that answers
		}),
	}
	// One connection for one question: none stays that would count.
	server.SetKeepAlivesEnabled(false)
	go func() { _ = server.Serve(l) }()
	return func() { _ = server.Close() }, nil
}

// goroutines asks a child how many it has.
func goroutines(ctx context.Context, path string) (n int, err error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://aside/", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	_, err = fmt.Fscan(response.Body, &n)
	return n, err
}
