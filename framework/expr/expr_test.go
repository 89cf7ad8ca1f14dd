package expr_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/expr"
)

func all(t *testing.T, source, document string) []string {
	t.Helper()
	e, err := expr.Compile(source)
	require.NoError(t, err)
	in, err := expr.Parse([]byte(document))
	require.NoError(t, err)
	values, err := e.All(t.Context(), in)
	require.NoError(t, err)
	var got []string
	for _, v := range values {
		b, err := v.JSON()
		require.NoError(t, err)
		got = append(got, string(b))
	}
	return got
}

const odd = `{"data": [ {"b" : 9007199254740993,"a":1e400, "t":"<\u00e9>"}, {"b":2 ,"open":true} ], "next":null}`

func TestWhatIsSelectedKeepsItsBytes(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{`{"b" : 9007199254740993,"a":1e400, "t":"<\u00e9>"}`, `{"b":2 ,"open":true}`}, all(t, `.data[]`, odd))
	require.Equal(t, []string{`{"b":2 ,"open":true}`}, all(t, `.data[] | select(.open) # comment`, odd))
	require.Equal(t, []string{`{"b":2 ,"open":true}`}, all(t, `.data[-1]`, odd))
	require.Equal(t, []string{`1e400`, `null`}, all(t, `.data[].a`, odd))
	require.Equal(t, []string{`null`, `null`}, all(t, `.next, .missing.deeper`, odd))
	require.Equal(t, []string{odd}, all(t, `.`, odd))
	require.Equal(t, []string{`"<\u00e9>"`}, all(t, `if .data|length > 1 then .data[0].t else . end`, odd))
}

func TestWhatIsComputedKeepsTheDigitsOfItsParts(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{`{"big":9007199254740993,"huge":1e400}`}, all(t, `.data[0] | {big: .b, huge: .a}`, odd))
	require.Equal(t, []string{`[{"b":2,"open":true}]`}, all(t, `.data[1:]`, odd))
	require.Equal(t, []string{`2`}, all(t, `.data | length`, odd))
	require.Equal(t, []string{`"x"`}, all(t, `.next // "x"`, odd))
}

func TestExpressionsReadNothingElse(t *testing.T) {
	t.Setenv("WEIR_CANARY", "canary")
	require.NotContains(t, strings.Join(all(t, `$ENV, env`, `null`), ""), "canary")
	for _, source := range []string{`input`, `include "x"; .`, `import "x" as x; .`, `input_filename`, `$__prog_args`, ``, `.a |`, strings.Repeat(".", 1<<20)} {
		e, err := expr.Compile(source)
		if err != nil {
			continue
		}
		values, err := e.All(t.Context(), expr.Of(nil))
		if err == nil {
			for _, v := range values {
				require.True(t, v.Null(), source)
			}
		}
	}
}

func TestExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	e, err := expr.Compile(`range(1e9)`)
	require.NoError(t, err)
	_, err = e.All(t.Context(), expr.Of(nil))
	require.ErrorIs(t, err, expr.ErrLimit)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		e, err := expr.Compile(`def f: f; f`)
		require.NoError(t, err)
		_, err = e.All(ctx, expr.Of(nil))
		require.ErrorIs(t, err, expr.ErrLimit)
	})
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	in := expr.Of(map[string]any{"a": "x&y", "n": 3, "none": nil})
	show := func(_ string, v expr.Value) string { return "<" + v.Text() + ">" }
	for source, want := range map[string]string{
		``: ``, `plain`: `plain`, `{{ .a }}-{{.n}}`: `<x&y>-<3>`, `{{ {a:{b:.n}} | .a.b }}!`: `<3>!`, `{{ .none }}{{ "}}" }}`: `<><}}>`, `a } b`: `a } b`,
	} {
		template, err := expr.ParseTemplate(source)
		require.NoError(t, err, source)
		got, err := template.Text(t.Context(), in, show)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, source := range []string{`{{`, `{{ }}`, `{{ .a`, `{{ .a | }}`} {
		_, err := expr.ParseTemplate(source)
		require.Error(t, err, source)
	}
	template, err := expr.ParseTemplate(`{{ .n }}`)
	require.NoError(t, err)
	v, ok, err := template.Whole(t.Context(), in)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "3", v.Text())
}

func FuzzSelectedBytesStandInTheDocument(f *testing.F) {
	f.Add(`.a[]`, `{"a":[1,{"b":2e9}]}`)
	f.Add(`..`, `[[],{}]`)
	f.Fuzz(func(t *testing.T, source, document string) {
		if len(source) > 64 || len(document) > 512 {
			return
		}
		e, err := expr.Compile(source)
		if err != nil {
			return
		}
		in, err := expr.Parse([]byte(document))
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1e8)
		defer cancel()
		values, err := e.All(ctx, in)
		if err != nil {
			return
		}
		for _, v := range values {
			b, err := v.JSON()
			require.NoError(t, err)
			_, err = expr.Parse(b)
			require.NoError(t, err)
		}
	})
}
