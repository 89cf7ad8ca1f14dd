package framework_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
)

type common struct {
	Path    string `json:"path" doc:"Where it is."`
	Seconds int    `json:"seconds" default:"30" min:"1" max:"60"`
}

type header struct {
	Name  string           `json:"name" required:"true"`
	Value framework.Secret `json:"value" required:"true"`
}

type span struct {
	From int `json:"from"`
	To   int `json:"to" default:"10"`
}

func (s span) Validate() error {
	if s.From > s.To {
		return framework.SettingErrors{{Name: "to", Reason: "lies before from"}}
	}
	return nil
}

type nested struct {
	common

	Kind    string                      `json:"kind" default:"poll" enum:"poll,push"`
	Headers []header                    `json:"headers"`
	Span    span                        `json:"span"`
	Extra   *common                     `json:"extra"`
	Labels  map[string]header           `json:"labels"`
	Secrets framework.Secrets           `json:"secrets"`
	Home    struct{ URL framework.URL } `json:"home"`
	Any     json.RawMessage             `json:"any"`
}

// opened decodes settings as a connection does.
func opened(t *testing.T, settings map[string]any) (nested, []string) {
	t.Helper()
	var got nested
	var hosts []string
	p := framework.Define(catalog.Connector{Key: "nested"}, func(_ context.Context, in framework.Instance[nested]) (framework.Routes, error) {
		got = in.Settings
		return nil, nil
	})
	_, err := p.Open(t.Context(), framework.OpenRequest{Settings: settings, Client: func(h []string) *http.Client { hosts = h; return nil }})
	require.NoError(t, err)
	return got, hosts
}

func nestedPlugin() framework.Plugin {
	return framework.Define(catalog.Connector{Key: "nested"}, func(context.Context, framework.Instance[nested]) (framework.Routes, error) {
		return nil, errors.New("not opened here")
	})
}

func TestDefaultsStandAtEveryDepth(t *testing.T) {
	t.Parallel()
	got, _ := opened(t, map[string]any{})
	require.Equal(t, nested{common: common{Seconds: 30}, Kind: "poll", Span: span{To: 10}}, got)
	got, hosts := opened(t, map[string]any{
		"path": "/x", "seconds": 5, "extra": map[string]any{}, "headers": []any{map[string]any{"name": "a", "value": "b"}},
		"labels": map[string]any{"l": map[string]any{"name": "c", "value": "d"}}, "secrets": "one",
		"home": map[string]any{"URL": "http://home.example/x"}, "any": map[string]any{"n": 1}, "span": nil,
	})
	require.Equal(t, nested{
		common: common{Path: "/x", Seconds: 5}, Kind: "poll", Span: span{To: 10}, Extra: &common{Seconds: 30},
		Headers: []header{{"a", "b"}}, Labels: map[string]header{"l": {"c", "d"}}, Secrets: framework.Secrets{"one"},
		Home: struct{ URL framework.URL }{"http://home.example/x"}, Any: json.RawMessage(`{"n":1}`),
	}, got)
	require.Equal(t, []string{"http://home.example"}, hosts)
}

func TestErrorsOfSettingsNamePaths(t *testing.T) {
	t.Parallel()
	err := nestedPlugin().CheckSettings(map[string]any{
		"kind": "pull", "seconds": 61, "span": map[string]any{"from": 20},
		"headers": []any{map[string]any{"name": "a"}, map[string]any{"name": "b", "value": 5, "vlaue": "x"}, "text", nil},
		"extra":   map[string]any{"seconds": 0, "paht": 1}, "labels": map[string]any{"l": map[string]any{"value": ""}},
		"secrets": 7, "home": []any{}, "heders": 1,
	})
	var errs framework.SettingErrors
	require.ErrorAs(t, err, &errs)
	got := make([]string, len(errs))
	for i, e := range errs {
		got[i] = e.Name + " " + e.Reason
	}
	require.Equal(t, []string{
		`extra.paht is unknown; did you mean "path"?`,
		`extra.seconds must be at least 1`,
		`headers[0].value is required`,
		`headers[1].value must be text, not number`,
		`headers[1].vlaue is unknown; did you mean "value"?`,
		`headers[2] must be a mapping, not string`,
		`headers[3].name is required`,
		`headers[3].value is required`,
		`heders is unknown; did you mean "headers"?`,
		`home must be a mapping, not array`,
		`kind must be poll or push; did you mean "poll"?`,
		`labels.l.name is required`,
		`labels.l.value is empty`,
		`seconds must be at most 60`,
		`secrets must be text, or a list of texts or {"secret": text, "until": time}`,
		`span.to lies before from`,
	}, got)
}

func TestSecretsInListsAreFound(t *testing.T) {
	t.Parallel()
	p := nestedPlugin()
	require.Equal(t, []string{"headers[].value", "labels.*.value", "secrets"}, p.SecretSettings())
	_, err := framework.Define(catalog.Connector{Key: "nested"}, func(_ context.Context, in framework.Instance[nested]) (framework.Routes, error) {
		return nil, errors.New("refused " + in.Settings.Headers[0].Value.Reveal() + in.Settings.Labels["l"].Value.Reveal() + in.Settings.Secrets[1].Reveal())
	}).Open(t.Context(), framework.OpenRequest{Settings: map[string]any{
		"headers": []any{map[string]any{"name": "a", "value": "canary-header"}},
		"labels":  map[string]any{"l": map[string]any{"name": "a", "value": "canary-label"}},
		"secrets": []any{"canary-one", "canary-two"},
	}})
	require.ErrorContains(t, err, "refused *********")
}

func TestSettingsAreDescribed(t *testing.T) {
	t.Parallel()
	schema, err := json.Marshal(framework.SettingsSchema(nestedPlugin().Settings()))
	require.NoError(t, err)
	require.JSONEq(t, `{
		"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,
		"properties":{
			"path":{"type":"string","description":"Where it is."},
			"seconds":{"type":"integer","default":30,"minimum":1,"maximum":60},
			"kind":{"type":"string","default":"poll","enum":["poll","push"]},
			"headers":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["name","value"],
				"properties":{"name":{"type":"string"},"value":{"type":"string","writeOnly":true}}}},
			"span":{"type":"object","additionalProperties":false,"properties":{"from":{"type":"integer"},"to":{"type":"integer","default":10}}},
			"extra":{"type":"object","additionalProperties":false,"properties":{"path":{"type":"string","description":"Where it is."},"seconds":{"type":"integer","default":30,"minimum":1,"maximum":60}}},
			"labels":{"type":"object","additionalProperties":{"type":"object","additionalProperties":false,"required":["name","value"],
				"properties":{"name":{"type":"string"},"value":{"type":"string","writeOnly":true}}}},
			"secrets":{"type":["string","array"],"items":{"type":"string"},"writeOnly":true},
			"home":{"type":"object","additionalProperties":false,"properties":{"URL":{"type":"string","format":"uri"}}},
			"any":{}
		}}`, string(schema))
}

func TestSettingAtFollowsAPath(t *testing.T) {
	t.Parallel()
	settings := map[string]any{"a": map[string]any{"b": []any{"x", map[string]any{"c": 1}}}}
	require.Equal(t, 1, framework.SettingAt(settings, "a.b[1].c"))
	for _, path := range []string{"z", "a.b[2]", "a.b[-1]", "a.b.c", "a.b[0].c"} {
		require.Nil(t, framework.SettingAt(settings, path), path)
	}
}

type twoChecks struct {
	Count int      `json:"count" min:"1"`
	Names []string `json:"names"`
	More  *string  `json:"more"`
	Other string   `json:"other"`
}

func (s twoChecks) Validate() error {
	errs := framework.SettingErrors{{Name: "other", Reason: "is missing"}, {Name: "count", Reason: "is odd"}}
	for i, name := range s.Names {
		if name == "" {
			errs = append(errs, &framework.SettingError{Name: "names[" + strconv.Itoa(i) + "]", Reason: "is empty"})
		}
	}
	if s.More != nil && *s.More == "boom" {
		panic("a check that cannot stand what was not read")
	}
	return errs
}

// What was read is checked beside what could not be; what follows from the others is left out.
func TestAFaultHidesNoOther(t *testing.T) {
	t.Parallel()
	_, err := framework.DecodeSettings[twoChecks](map[string]any{"count": 0, "names": []any{"a", ""}})
	require.EqualError(t, err, framework.SettingErrors{{Name: "count", Reason: "must be at least 1"}, {Name: "names[1]", Reason: "is empty"}}.Error())
	_, err = framework.DecodeSettings[twoChecks](map[string]any{"count": 0, "names": []any{"a", ""}, "more": "boom"})
	require.ErrorContains(t, err, "must be at least 1", "a check that panics says nothing more")
}
