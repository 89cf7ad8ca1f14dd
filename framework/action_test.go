package framework_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
)

type reindexInput struct {
	Index string   `json:"index" required:"true" enum:"planets,moons"`
	Limit int64    `json:"limit" default:"10" min:"1"`
	Dry   bool     `json:"dry"`
	Tags  []string `json:"tags"`
}

type reindexOutput struct {
	Done int64  `json:"done"`
	Note string `json:"note"`
}

var (
	reindex = catalog.Action[reindexInput, reindexOutput]("reindex", catalog.ActionSpec{Timeout: time.Hour})
	acting  = catalog.Connector{Key: "acting", Actions: []catalog.Callable{reindex}}
)

type actingSettings struct {
	Key framework.Secret `json:"key"`
}

func act(t *testing.T, fn func(context.Context, reindexInput, framework.Progress) (reindexOutput, error)) *framework.Binding {
	t.Helper()
	p := framework.Define(acting, func(context.Context, framework.Instance[actingSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Action(reindex, fn)}, nil
	})
	b, err := p.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"key": "sk_canary_key"}})
	require.NoError(t, err)
	return b
}

func TestAnActionIsGivenItsInputAndTellsItsProgress(t *testing.T) {
	t.Parallel()
	b := act(t, func(_ context.Context, in reindexInput, progress framework.Progress) (reindexOutput, error) {
		progress(25, "with sk_canary_key")
		return reindexOutput{Done: in.Limit, Note: in.Index + " & sk_canary_key"}, nil
	})
	var told []string
	out, err := b.Act(t.Context(), "reindex", framework.ActionInput{JSON: []byte(`{"index":"moons","limit":9007199254740993}`)}, func(_ int, m string) { told = append(told, m) })
	require.NoError(t, err)
	require.Equal(t, `{"done":9007199254740993,"note":"moons & ***"}`, string(out)) //nolint:testifylint // the digits and bytes count
	require.Equal(t, []string{"with ***"}, told)

	out, err = b.Act(t.Context(), "reindex", framework.ActionInput{JSON: []byte(`{"index":"moons","limit":"7","dry":"on","tags":"a"}`), Form: true}, nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"done":7,"note":"moons & ***"}`, string(out))
}

func TestTheInputOfAnActionIsReadStrictly(t *testing.T) {
	t.Parallel()
	b := act(t, nil)
	for input, want := range map[string]string{
		``:                                   `input "index" is required`,
		`{"index":"suns"}`:                   `must be planets or moons`,
		`{"index":"moons","limit":0}`:        `at least 1`,
		`{"index":"moons","limit":"7"}`:      `a whole number, not string`,
		`{"index":"moons","limt":1}`:         `did you mean`,
		`{"index":"moons"} {}`:               `it is no JSON`,
		`[]`:                                 `must be a JSON object`,
		`{"limit":0,"index":1,"other":true}`: `input "other" is unknown`,
	} {
		err := b.CheckInput("reindex", framework.ActionInput{JSON: []byte(input)})
		require.ErrorIs(t, err, framework.ErrInput, input)
		require.ErrorContains(t, err, want, input)
		require.Equal(t, framework.ClassPermanent, framework.ClassOf(err))
	}
	require.NoError(t, b.CheckInput("reindex", framework.ActionInput{JSON: []byte(`{"index":"moons"}`)}))
	require.ErrorIs(t, b.CheckInput("other", framework.ActionInput{}), framework.ErrNoRoute)
}

func TestAPanicAndAHangOfAnActionAreContained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := act(t, func(_ context.Context, in reindexInput, _ framework.Progress) (reindexOutput, error) {
			if in.Dry {
				panic("sk_canary_key")
			}
			<-release
			return reindexOutput{}, errors.New("late")
		})
		_, err := b.Act(t.Context(), "reindex", framework.ActionInput{JSON: []byte(`{"index":"moons","dry":true}`)}, nil)
		var p *framework.PanicError
		require.ErrorAs(t, err, &p)
		require.NotContains(t, p.Value+p.Stack, "canary")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = b.Act(ctx, "reindex", framework.ActionInput{JSON: []byte(`{"index":"moons"}`)}, nil)
		require.ErrorIs(t, err, framework.ErrAbandoned)
		require.Equal(t, 1, b.Abandoned())
		close(release)
		synctest.Wait()
		require.Zero(t, b.Abandoned())
	})
}

func TestActionsAreHeldAgainstTheCatalog(t *testing.T) {
	t.Parallel()
	other := catalog.Action[struct{}, string]("other")
	p := framework.Define(acting, func(context.Context, framework.Instance[actingSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Action(other, nil)}, nil
	})
	_, err := p.Open(t.Context(), framework.OpenRequest{})
	require.ErrorContains(t, err, "SC211")
	require.ErrorContains(t, err, "SC210")
	p = framework.Define(acting, func(context.Context, framework.Instance[actingSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Action(reindex, nil), framework.Action(reindex, nil)}, nil
	})
	_, err = p.Open(t.Context(), framework.OpenRequest{})
	require.ErrorContains(t, err, "SC203")

	var rules []string
	for _, f := range catalog.Validate(catalog.Connector{Key: "bad", Actions: []catalog.Callable{
		catalog.Action[int, int]("Bad-Key"), reindex, reindex, catalog.Action[int, int]("slow", catalog.ActionSpec{Timeout: 48 * time.Hour, MaxRunning: -1}),
	}}) {
		rules = append(rules, f.Rule)
	}
	require.Equal(t, []string{"SC102", "SC103", "SC118", "SC118"}, rules)
}

func TestTheSchemasOfAnActionDescribeItsTypes(t *testing.T) {
	t.Parallel()
	in, out, ok := framework.Define(acting, func(context.Context, framework.Instance[actingSettings]) (framework.Routes, error) { return nil, nil }).ActionSchemas("reindex")
	require.True(t, ok)
	b, err := json.Marshal([]any{in, out})
	require.NoError(t, err)
	require.Contains(t, string(b), `"enum":["planets","moons"]`)
	require.Contains(t, string(b), `"required":["index"]`)
	require.Contains(t, string(b), `"done":{"type":"integer"}`)
}
