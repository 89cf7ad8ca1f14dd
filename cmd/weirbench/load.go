package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load sends signed deliveries over some connections, each with an id of its own. It writes and
// reads HTTP/1.1 by itself: a client of net/http would take more of the machine than the server.
type load struct {
	addr, path  string
	connections int
	secret      []byte
	payload     int
	salt        string

	// conn and answers are those of once.
	conn    net.Conn
	answers *bufio.Reader
}

// measured is what a load has seen.
type measured struct {
	requests int64
	seconds  float64
	p50, p99 time.Duration
}

func (m measured) rate() float64 { return float64(m.requests) / m.seconds }

// run sends for as long as d and reports what was answered. Any answer but 200 is an error.
func (l *load) run(ctx context.Context, d time.Duration) (measured, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var next atomic.Int64
	var senders sync.WaitGroup
	errs := make(chan error, l.connections)
	took := make([][]time.Duration, l.connections)
	start := time.Now()
	for i := range l.connections {
		senders.Go(func() {
			var err error
			if took[i], err = l.send(ctx, &next); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	senders.Wait()
	seconds := time.Since(start).Seconds()
	close(errs)
	if err := <-errs; err != nil {
		return measured{}, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) == 0 {
		return measured{}, errors.New("nothing was answered")
	}
	return measured{int64(len(all)), seconds, all[len(all)/2], all[len(all)*99/100]}, nil
}

// send is one connection.
func (l *load) send(ctx context.Context, next *atomic.Int64) (took []time.Duration, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	filler := bytes.Repeat([]byte("x"), max(l.payload-80, 1))
	var request, body []byte
	for ctx.Err() == nil {
		id := l.salt + strconv.FormatInt(next.Add(1), 36)
		body = fmt.Appendf(body[:0], `{"id":"ord_%s","version":"1","text":"%s"}`, id, filler)
		request = l.request(request[:0], id, body)
		sent := time.Now()
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		if err := answered(answers); err != nil {
			return nil, err
		}
		took = append(took, time.Since(sent))
	}
	return took, nil
}

// once sends one delivery with an id, over a connection that stays.
func (l *load) once(ctx context.Context, id string) (err error) {
	if l.conn == nil {
		if l.conn, err = new(net.Dialer).DialContext(ctx, "tcp", l.addr); err != nil {
			return err
		}
		l.answers = bufio.NewReader(l.conn)
	}
	body := fmt.Appendf(nil, `{"id":"ord_%s","version":"1","text":"%s"}`, id, bytes.Repeat([]byte("x"), max(l.payload-80, 1)))
	if _, err := l.conn.Write(l.request(nil, id, body)); err != nil {
		return err
	}
	return answered(l.answers)
}

func (l *load) request(into []byte, id string, body []byte) []byte {
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	return fmt.Appendf(into, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
		"webhook-id: msg_%s\r\nwebhook-timestamp: %s\r\nwebhook-signature: v1,%s\r\n\r\n%s",
		l.path, l.addr, len(body), id, timestamp, sign(l.secret, "msg_"+id, timestamp, body), body)
}

// sign is the signature of Standard Webhooks.
func sign(secret []byte, id, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(id + "." + timestamp + "."))
	_, _ = h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// answered reads one response with a Content-Length.
func answered(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	good := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	line := string(status)
	length := 0
	for {
		header, err := r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		if len(header) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(header, []byte(":")); bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
		}
	}
	body := make([]byte, 0, 256)
	if !good {
		body = body[:min(length, 256)]
		_, _ = r.Read(body)
		return fmt.Errorf("the answer is %q %s", line, body)
	}
	_, err = r.Discard(length)
	return err
}
