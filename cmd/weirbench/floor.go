package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/ingest"
)

// row is what one delivery leaves in the store.
type row struct {
	entity, key, delivery, payloadHash [16]byte

	// id is the sender's id of the delivery, first the id of its event.
	id, first, subject string
	payload            []byte
	at                 time.Time
	done               chan error
}

// writing commits what is handed to it, in one transaction.
type writing interface {
	commit(batch []*row) error
	close() error
}

// floor takes deliveries with net/http, verifies them, and commits together what waits.
type floor struct {
	writing writing
	secret  []byte
	queue   chan *row
	commits int64
}

// hashKey stands for the store's secret, with which ids are hashed.
var hashKey = []byte("0123456789abcdef0123456789abcdef")

func hashed(kind byte, parts ...string) [16]byte {
	h := hmac.New(sha256.New, hashKey)
	_, _ = h.Write([]byte{kind})
	for _, p := range parts {
		_, _ = io.WriteString(h, p)
		_, _ = h.Write([]byte{0})
	}
	return [16]byte(h.Sum(nil)[:16])
}

// serveFloor serves until ctx ends.
func serveFloor(ctx context.Context, w writing, secret string, ready func(addr string)) (int64, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return 0, err
	}
	f := &floor{writing: w, secret: key, queue: make(chan *row, 4096)}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	var work sync.WaitGroup
	work.Go(f.run)
	answered := make(chan error, 1) // what is at work must be answered before the queue is closed
	go func() {
		<-ctx.Done()
		answered <- server.Shutdown(context.WithoutCancel(ctx))
	}()
	ready(listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return 0, err
	}
	err = <-answered
	close(f.queue)
	work.Wait()
	return f.commits, errors.Join(err, w.close())
}

// ServeHTTP takes one delivery.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	id, timestamp := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute ||
		!hmac.Equal([]byte("v1,"+sign(f.secret, id, timestamp, body)), []byte(r.Header.Get("Webhook-Signature"))) {
		http.Error(w, "signature", http.StatusUnauthorized)
		return
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	one := &row{
		id: id, first: ingest.EventID("con", Orders.Key(), "v/"+o.ID+"/"+o.Version), subject: o.ID, payload: body, at: time.Now(), done: make(chan error, 1),
		entity: hashed('e', o.ID), key: hashed('k', o.ID, o.Version), delivery: hashed('d', id),
		payloadHash: ingest.PayloadHash(ingest.Upsert, body),
	}
	// As the store does it: a key begins with its entity's first half.
	copy(one.key[:8], one.entity[:8])
	one.key[15], one.entity[15] = one.key[15]&^1, one.entity[15]|1
	f.queue <- one
	if err := <-one.done; err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

// run is the one writer.
func (f *floor) run() {
	var batch []*row
	for first := range f.queue {
		batch = append(batch[:0], first)
	gather:
		for len(batch) < 1024 {
			select {
			case next, ok := <-f.queue:
				if !ok {
					break gather
				}
				batch = append(batch, next)
			default:
				break gather
			}
		}
		err := f.writing.commit(batch)
		f.commits++
		for _, one := range batch {
			one.done <- err
		}
	}
}
