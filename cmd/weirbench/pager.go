package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/weirhq/weir/ingest"
)

// pageSize and recordBytes are those of the local API.
const (
	pageSize    = 100
	recordBytes = 500
)

// api is a provider with records that never change.
type api struct {
	server *http.Server
	addr   string
}

// serveAPI serves records until it is closed. Pages are made beforehand: the provider is not
// what is measured.
func serveAPI(ctx context.Context, records int) (*api, error) {
	filler := bytes.Repeat([]byte("x"), recordBytes-70)
	var pages [][]byte
	for first := 0; first < records; first += pageSize {
		var page bytes.Buffer
		page.WriteString(`{"data":[`)
		for i := first; i < min(first+pageSize, records); i++ {
			if i > first {
				page.WriteByte(',')
			}
			fmt.Fprintf(&page, `{"id":"rec_%010d","version":"2026-01-01T00:00:00Z","text":"%s"}`, i, filler)
		}
		fmt.Fprintf(&page, `],"has_more":%t}`, first+pageSize < records)
		pages = append(pages, page.Bytes())
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &api{addr: "http://" + listener.Addr().String()}
	a.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after, err := strconv.Atoi(r.URL.Query().Get("after"))
		if err != nil || after < 0 || after%pageSize != 0 || after/pageSize >= len(pages) {
			http.Error(w, "after", http.StatusBadRequest)
			return
		}
		page := pages[after/pageSize]
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	})}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// pollFloor is the plain pager: page and cursor in one transaction, with the same unique keys.
func pollFloor(ctx context.Context, o childOptions, ready func(addr string)) (commits int64, err error) {
	f, err := openSQLiteFloor(ctx, o.Dir, Records.Key())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	client := &http.Client{}
	begun := time.Now()
	for after, more := 0, true; more; commits++ {
		page, err := readPage(ctx, client, fmt.Sprintf("%s/records?after=%d", o.API, after))
		if err != nil {
			return 0, err
		}
		after, more = after+len(page.Data), page.HasMore
		if err := f.commitPage(page.Data, after); err != nil {
			return 0, err
		}
	}
	ready(time.Since(begun).String())
	<-ctx.Done()
	return commits, nil
}

func readPage(ctx context.Context, client *http.Client, url string) (page listing[json.RawMessage], err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return page, err
	}
	response, err := client.Do(request)
	if err != nil {
		return page, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return page, err
	}
	return page, json.Unmarshal(body, &page)
}

func (f *sqliteFloor) commitPage(records []json.RawMessage, after int) error {
	t := &transaction{floor: f}
	now := time.Now()
	t.exec("BEGIN IMMEDIATE")
	for _, record := range records {
		var o order
		if err := json.Unmarshal(record, &o); err != nil {
			return err
		}
		one := &row{
			subject: o.ID, payload: record, at: now, payloadHash: ingest.PayloadHash(ingest.Upsert, record),
			entity: hashed('e', o.ID), key: hashed('k', o.ID, o.Version),
		}
		copy(one.key[:8], one.entity[:8])
		one.key[15], one.entity[15] = one.key[15]&^1, one.entity[15]|1
		t.record(one)
	}
	t.count(now.UnixMicro(), len(records))
	t.exec(`INSERT INTO checkpoints (connection, stream, lane, commit_id, previous, cursor, cursor_version, cursor_digest, run_id, updated_at)
		VALUES (?, 'records', 'live', '', '', ?, 1, '', '', ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at`,
		f.connection, []byte(strconv.Itoa(after)), now.UnixMicro())
	t.exec("COMMIT")
	return errors.Join(t.errs...)
}
