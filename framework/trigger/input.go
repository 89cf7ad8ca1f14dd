package trigger

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/framework"
)

// errType says that nobody can tell what a body holds.
var errType = errors.New("the body is neither JSON nor a form: send application/json, application/x-www-form-urlencoded or multipart/form-data")

// maxFields bounds the fields of a form or query.
const maxFields = 1000

// inputOf reads the input of an action: the body as JSON, else the fields of a form,
// else the query.
func inputOf(r *http.Request, body []byte) (framework.ActionInput, error) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return framework.ActionInput{}, fmt.Errorf("%w: the query cannot be read", framework.ErrInput)
		}
		return fromValues(values, nil)
	case kind == "application/x-www-form-urlencoded" && !json.Valid(body):
		// curl -d sends JSON under this type too, when nobody says another.
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return framework.ActionInput{}, fmt.Errorf("%w: the form cannot be read", framework.ErrInput)
		}
		return fromValues(values, nil)
	case kind == "multipart/form-data":
		return fromMultipart(body, params["boundary"])
	case json.Valid(body):
		return framework.ActionInput{JSON: body}, nil
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return framework.ActionInput{}, fmt.Errorf("%w: the body is no JSON", framework.ErrInput)
	}
	return framework.ActionInput{}, errType
}

// fromValues makes an object of fields: a text, or a list of texts of a field that is
// there several times.
func fromValues(values url.Values, files map[string][]any) (framework.ActionInput, error) {
	if len(values)+len(files) > maxFields {
		return framework.ActionInput{}, fmt.Errorf("%w: there are more than %d fields", framework.ErrInput, maxFields)
	}
	object := map[string]any{}
	put := func(name string, all []any) {
		if old, is := object[name]; is {
			all = append([]any{old}, all...)
		}
		if object[name] = all; len(all) == 1 {
			object[name] = all[0]
		}
	}
	for name, texts := range values {
		all := make([]any, len(texts))
		for i, text := range texts {
			all[i] = text
		}
		put(name, all)
	}
	for name, all := range files {
		put(name, all)
	}
	b, err := json.Marshal(object)
	return framework.ActionInput{JSON: b, Form: true}, err
}

// fromMultipart reads a form with files. A file is an object with its name, its type
// and its content in base64.
func fromMultipart(body []byte, boundary string) (framework.ActionInput, error) {
	broken := fmt.Errorf("%w: the form cannot be read", framework.ErrInput)
	if boundary == "" {
		return framework.ActionInput{}, broken
	}
	reader := multipart.NewReader(strings.NewReader(string(body)), boundary)
	values, files := url.Values{}, map[string][]any{}
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fromValues(values, files)
		}
		if err != nil || n > maxFields {
			return framework.ActionInput{}, broken
		}
		// The whole body is bounded, and so is every part of it.
		content, err := io.ReadAll(part)
		if err != nil {
			return framework.ActionInput{}, broken
		}
		name := part.FormName()
		switch {
		case name == "":
		case part.FileName() == "" && utf8.Valid(content):
			values.Add(name, string(content))
		default:
			files[name] = append(files[name], map[string]any{
				"name": part.FileName(), "type": part.Header.Get("Content-Type"), "content": base64.StdEncoding.EncodeToString(content),
			})
		}
	}
}
