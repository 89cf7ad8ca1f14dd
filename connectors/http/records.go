package http

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/ingest"
)

// everyRecord is where the records are when the settings do not say.
var everyRecord = mustCompile(`if type == "array" then .[] else . end`)

// ownID is what names an entity when the settings do not say.
var ownID = mustCompile(`.id?`)

func mustCompile(source string) *expr.Expression {
	e, err := expr.Compile(source)
	if err != nil {
		panic(err) // the source is ours
	}
	return e
}

// extract returns the records of a body, and the body as a document where it is
// one, also where no records are found in it.
func (r Reading) extract(ctx context.Context, body []byte) ([]expr.Value, *expr.Document, error) {
	switch r.Format {
	case "ndjson":
		records, err := lines(body)
		if err != nil {
			return nil, nil, err
		}
		records, err = r.chosen(ctx, records)
		return records, nil, err
	case "csv":
		records, err := r.rows(body)
		if err != nil {
			return nil, nil, err
		}
		records, err = r.chosen(ctx, records)
		return records, nil, err
	}
	document, err := expr.Parse(body)
	if err != nil {
		return nil, nil, err
	}
	which := everyRecord
	if r.Records.given() {
		which = r.Records.Expression
	}
	records, err := which.All(ctx, document)
	if err != nil {
		return nil, document, framework.Permanent(fmt.Errorf("records: %w", err))
	}
	if len(records) == 1 && records[0].Null() {
		records = nil
	}
	return records, document, nil
}

// chosen applies the expression for records to each line.
func (r Reading) chosen(ctx context.Context, records []expr.Value) ([]expr.Value, error) {
	if !r.Records.given() {
		return records, nil
	}
	var chosen []expr.Value
	for i, record := range records {
		values, err := r.Records.All(ctx, record.Document())
		if err != nil {
			return nil, framework.Permanent(fmt.Errorf("records, line %d: %w", i+1, err))
		}
		chosen = append(chosen, values...)
	}
	return chosen, nil
}

// lines reads one JSON value a line.
func lines(body []byte) ([]expr.Value, error) {
	var records []expr.Value
	number := 0
	for line := range bytes.Lines(body) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		document, err := expr.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		records = append(records, document.Value())
	}
	return records, nil
}

// rows reads CSV as objects whose members are texts, in the order of columns.
func (r Reading) rows(body []byte) ([]expr.Value, error) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	reader.ReuseRecord = true
	var columns []string
	if r.CSV != nil {
		reader.Comma = []rune(r.CSV.Delimiter)[0]
		columns = r.CSV.Columns
	}
	if len(columns) == 0 {
		first, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not CSV: %w", err)
		}
		columns = append(columns, first...)
	}
	names := make([][]byte, len(columns))
	for i, column := range columns {
		names[i], _ = json.Marshal(column)
	}
	var records []expr.Value
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not CSV: %w", err)
		}
		if len(fields) != len(names) {
			line, _ := reader.FieldPos(0)
			return nil, fmt.Errorf("not CSV: line %d has %d fields, and there are %d columns", line, len(fields), len(names))
		}
		var b bytes.Buffer
		for i, field := range fields {
			b.WriteByte("{,"[min(i, 1)])
			b.Write(names[i])
			value, err := json.Marshal(field)
			if err != nil {
				return nil, fmt.Errorf("not CSV: %w", err)
			}
			b.WriteByte(':')
			b.Write(value)
		}
		b.WriteByte('}')
		document, err := expr.Parse(b.Bytes())
		if err != nil {
			return nil, err
		}
		records = append(records, document.Value())
	}
}

// emission says where records go, and what stands for what they do not say.
type emission struct {
	stream catalog.Of[record]
	// at is the time of a record that has none of its own.
	at time.Time
	// fact names a record that is no version of an entity, "" for its hash.
	fact string
}

// emit emits one record.
func (r Reading) emit(ctx context.Context, out *ingest.Buffer, v expr.Value, to emission) error {
	raw, err := v.JSON()
	if err != nil {
		return framework.Permanent(fmt.Errorf("encode record: %w", err))
	}
	document := v.Document()
	options := ingest.Options{Time: to.at}
	if r.Time.given() {
		at, err := r.Time.One(ctx, document)
		if err != nil {
			return framework.Permanent(fmt.Errorf("time: %w", err))
		}
		if !at.Null() {
			if options.Time, err = parseTime(at); err != nil {
				return framework.Permanent(fmt.Errorf("time: %w", err))
			}
		}
	}
	if options.IdempotencyKey, err = r.keyOf(ctx, document, raw, to.fact); err != nil {
		return framework.Permanent(err)
	}
	canonicalType := to.stream.Key()
	if r.EventType.given() {
		named, err := r.EventType.One(ctx, document)
		if err != nil {
			return framework.Permanent(fmt.Errorf("event_type: %w", err))
		}
		if named.Scalar() && named.Text() != "" {
			canonicalType = named.Text()
		}
	}
	if r.Deleted.given() {
		gone, err := r.Deleted.One(ctx, document)
		if err != nil {
			return framework.Permanent(fmt.Errorf("deleted: %w", err))
		}
		if gone.True() {
			if options.IdempotencyKey.Entity() == "" {
				return framework.Permanent(errors.New("deleted: the record names no entity; set key"))
			}
			return ingest.Delete(out, to.stream, canonicalType, options)
		}
	}
	return ingest.Canonical(out, to.stream, canonicalType, raw, options)
}

// keyOf returns the idempotency key of a record.
func (r Reading) keyOf(ctx context.Context, document *expr.Document, raw []byte, fact string) (ingest.Key, error) {
	keys := r.Key
	if keys == nil {
		keys = expressions{{ownID}}
	}
	parts := make([]string, len(keys))
	for i, key := range keys {
		v, err := key.One(ctx, document)
		if err != nil {
			return ingest.Key{}, fmt.Errorf("key: %w", err)
		}
		if !v.Scalar() || v.Text() == "" {
			if r.Key == nil {
				// A record without an id is a fact of its own.
				if fact == "" {
					sum := sha256.Sum256(raw)
					fact = "sha256:" + hex.EncodeToString(sum[:])
				}
				return ingest.EventKey(fact), nil
			}
			return ingest.Key{}, fmt.Errorf("key: %s gives no text or number for the record; mend it, or leave such records out with select(…) in records", key)
		}
		parts[i] = v.Text()
	}
	entity := parts[0]
	if len(parts) > 1 {
		for i, part := range parts {
			parts[i] = strings.NewReplacer("%", "%25", "/", "%2f").Replace(part)
		}
		entity = strings.Join(parts, "/")
	}
	if !r.Version.given() {
		return ingest.LatestKey(entity), nil
	}
	v, err := r.Version.One(ctx, document)
	if err != nil {
		return ingest.Key{}, fmt.Errorf("version: %w", err)
	}
	if !v.Scalar() || v.Text() == "" {
		return ingest.LatestKey(entity), nil
	}
	return ingest.VersionKey(entity, v.Text()), nil
}

// parseTime reads RFC 3339, or Unix seconds or milliseconds.
func parseTime(v expr.Value) (time.Time, error) {
	text := v.Text()
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < -1e15 || seconds > 1e15 {
		return time.Time{}, errors.New("the value is neither RFC 3339 nor Unix time")
	}
	if seconds > 1e11 || seconds < -1e11 {
		return time.UnixMilli(int64(seconds)).UTC(), nil
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
}
