package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const (
	openAPIPath = aliasPrefix + "/openapi.json"
	docsPath    = "/docs"
)

// pathParameter finds the parameters of a pattern.
var pathParameter = regexp.MustCompile(`\{([a-z_]+)\}`)

// object is a JSON object of the document.
type object = map[string]any

func (a *API) getOpenAPI(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	return ok(OpenAPI())
}

// OpenAPI returns the OpenAPI 3.1 document of the management API, made of the
// operations and rows from which its routes are made. The paths below
// /api/v1/projects/{project} stand for those of the project default, too, which
// leave that part out.
func OpenAPI() map[string]any {
	paths := object{}
	add := func(pattern, method string, operation object) {
		path, _ := paths[pattern].(object)
		if path == nil {
			path = object{}
			paths[pattern] = path
		}
		path[strings.ToLower(method)] = operation
	}
	described := map[routeName]bool{}
	for _, o := range configurationOperations() {
		pattern := o.patterns()[0]
		described[routeName{o.method, pattern}] = true
		add(pattern, o.method, o.describe(pattern))
	}
	for _, row := range Routes() {
		name := routeName{row.Method, row.Pattern}
		below := strings.HasPrefix(row.Pattern, projectPrefix+"/")
		alias := !below && scopeOf(row) == scopeDefault
		if row.Face != FaceAPI || described[name] || alias || row.Pattern == openAPIPath {
			continue
		}
		add(row.Pattern, row.Method, describeRow(row))
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Weir management API", "version": "1",
			"description": "Connections, streams, runs and sinks of a Weir. A path below /api/v1/projects/{project} without that part is the one of the project default. Errors are RFC 9457 problem documents.",
		},
		"servers":    []any{object{"url": "/"}},
		"security":   []any{object{"token": []string{}}},
		"paths":      paths,
		"components": object{"schemas": schemas(), "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}}},
	}
}

func reference(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

func jsonContent(schema string) object {
	return object{"application/json": object{"schema": reference(schema)}}
}

// pathParameters describes the parameters of a pattern.
func pathParameters(pattern string) []any {
	list := []any{}
	for _, m := range pathParameter.FindAllStringSubmatch(pattern, -1) {
		list = append(list, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	return list
}

// responses are the answers of an operation.
func responses(answer string, statuses ...int) object {
	out := object{"200": object{"description": "It is done.", "content": jsonContent(answer)}}
	for _, status := range statuses {
		out[fmt.Sprint(status)] = object{
			"description": http.StatusText(status), "content": object{"application/problem+json": object{"schema": reference("Problem")}},
		}
	}
	return out
}

func (o operation) describe(pattern string) object {
	parameters := pathParameters(pattern)
	for _, p := range o.parameters {
		schema := object{"type": p.kind}
		if p.words != nil {
			schema["enum"] = p.words
		}
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.doc, "required": p.required, "schema": schema})
	}
	statuses := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}
	if o.method != http.MethodGet {
		for _, name := range []string{"Idempotency-Key", "If-Match"} {
			parameters = append(parameters, object{"name": name, "in": "header", "description": headerDocs[name], "schema": object{"type": "string"}})
		}
		statuses = append(statuses, http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
	}
	out := object{
		"operationId": o.id, "tags": []string{o.tag}, "summary": o.summary, "description": "Needs role " + string(o.role) + ".",
		"parameters": parameters, "responses": responses(o.answer, statuses...),
	}
	switch o.body {
	case "":
	case "File":
		out["requestBody"] = object{"required": true, "content": object{"application/yaml": object{"schema": object{"type": "string"}}}}
	default:
		content := jsonContent(o.body)
		if examples := bodyExamples[o.body]; examples != nil {
			content["application/json"] = object{"schema": reference(o.body), "examples": examples}
		}
		out["requestBody"] = object{"required": true, "content": content}
	}
	return out
}

var headerDocs = map[string]string{
	"Idempotency-Key": "A text of the caller's: of one key with the same request, the first is carried out and its answer repeated, for a day.",
	"If-Match":        "The ETag of the answer that the change is made from; another revision is 412.",
}

// describeRow describes a route by its row alone.
func describeRow(row Route) object {
	words := strings.FieldsFunc(strings.TrimPrefix(strings.TrimPrefix(row.Pattern, projectPrefix), aliasPrefix), func(r rune) bool {
		return strings.ContainsRune("/{}-_.", r)
	})
	var id strings.Builder
	id.WriteString(strings.ToLower(row.Method))
	for _, w := range words {
		id.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	known := rowSummaries[row.Method+" "+strings.TrimPrefix(row.Pattern, projectPrefix)]
	out := object{
		"operationId": id.String(), "tags": []string{known.tag}, "summary": known.summary, "description": "Needs role " + string(row.Role) + ".",
		"parameters": pathParameters(row.Pattern), "responses": responses("Object", http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound),
	}
	if row.BodyLimit > formLimit {
		out["requestBody"] = object{"content": jsonContent("Object")}
	}
	return out
}

//go:embed docs.html
var docsHTML string

var docsPage = template.Must(template.New("docs").Parse(docsHTML))

// docsOperation is an operation on the page of documentation.
type docsOperation struct {
	Method, Path, ID, Summary, Description string
	Parameters                             []docsParameter
	Body                                   bool
	Examples                               []docsExample
}

type docsParameter struct{ Name, In, Doc string }

type docsExample struct{ Name, Text string }

// serveDocs shows the OpenAPI document to people. It needs no script.
func (a *API) serveDocs(w http.ResponseWriter, r *http.Request) {
	tags := map[string][]docsOperation{}
	paths, _ := OpenAPI()["paths"].(object)
	for path, methods := range paths {
		for method, one := range methods.(object) { //nolint:errcheck,forcetypeassert // it was made here
			o, _ := one.(object)
			tag, row := o["tags"].([]string)[0], docsRow(strings.ToUpper(method), path, o) //nolint:errcheck,forcetypeassert // as above
			tags[tag] = append(tags[tag], row)
		}
	}
	type group struct {
		Tag        string
		Operations []docsOperation
	}
	var groups []group
	for tag, operations := range tags {
		slices.SortFunc(operations, func(x, y docsOperation) int {
			return strings.Compare(x.Path+x.Method, y.Path+y.Method)
		})
		groups = append(groups, group{tag, operations})
	}
	slices.SortFunc(groups, func(x, y group) int { return strings.Compare(x.Tag, y.Tag) })
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := docsPage.Execute(w, groups); err != nil {
		a.cfg.Log.ErrorContext(r.Context(), "write the page of documentation", "err", err)
	}
}

func docsRow(method, path string, o object) docsOperation {
	text := func(name string) string { s, _ := o[name].(string); return s }
	row := docsOperation{Method: method, Path: path, ID: text("operationId"), Summary: text("summary"), Description: text("description")}
	parameters, _ := o["parameters"].([]any)
	for _, p := range parameters {
		m, _ := p.(object)
		name, _ := m["name"].(string)
		in, _ := m["in"].(string)
		doc, _ := m["description"].(string)
		row.Parameters = append(row.Parameters, docsParameter{name, in, doc})
	}
	body, is := o["requestBody"].(object)
	row.Body = is
	content, _ := body["content"].(object)
	media, _ := content["application/json"].(object)
	examples, _ := media["examples"].(object)
	for name, one := range examples {
		m, _ := one.(object)
		b, err := json.MarshalIndent(m["value"], "", "  ")
		if err == nil {
			row.Examples = append(row.Examples, docsExample{name, string(b)})
		}
	}
	slices.SortFunc(row.Examples, func(x, y docsExample) int { return strings.Compare(x.Name, y.Name) })
	return row
}
