package framework_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

// outlet is a sink that tells its secret.
type outlet struct{ secret string }

func (outlet) Prepare(_ context.Context, e *ingest.Event) (*sink.Message, error) {
	return &sink.Message{Event: e, Body: e.Payload}, nil
}

func (o outlet) Send(context.Context, []*sink.Message) sink.Answer {
	return sink.Answer{Err: errors.New("401 for " + o.secret), Request: []byte("token " + o.secret), Body: []byte(o.secret)}
}

type outletSettings struct {
	Endpoint framework.URL    `json:"endpoint" required:"true"`
	Token    framework.Secret `json:"token"`
	InFlight int              `json:"in_flight"`
}

func outletPlugin() framework.Plugin {
	return framework.DefineSink(catalog.Connector{Key: "outlet"}, func(_ context.Context, in framework.Instance[outletSettings]) (sink.Spec, error) {
		return sink.Spec{Sender: outlet{in.Settings.Token.Reveal()}, Policy: sink.Standard{}, InFlight: in.Settings.InFlight}, nil
	})
}

func TestASinkHasSettingsOfItsOwn(t *testing.T) {
	t.Parallel()
	p := outletPlugin()
	require.False(t, p.Source())
	as, ok := p.AsSink()
	require.True(t, ok)
	require.Equal(t, "outlet", as.Key())
	require.Equal(t, []string{"token"}, as.SecretSettings())
	err := as.CheckSettings(map[string]any{"endpont": "https://a.example"})
	require.ErrorContains(t, err, `"endpoint" is required`)
	require.ErrorContains(t, err, `endpont`)
	_, ok = framework.Define(catalog.Connector{Key: "source"}, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) { return nil, nil }).AsSink()
	require.False(t, ok)
}

func TestASinkIsOpenedWithItsDefaultsAndKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	settings := map[string]any{"endpoint": "https://a.example", "token": "canary-secret"}
	spec, err := outletPlugin().OpenSink(t.Context(), framework.OpenRequest{Settings: settings})
	require.NoError(t, err)
	answer := spec.Sender.Send(t.Context(), nil)
	for _, said := range []string{answer.Err.Error(), string(answer.Request), string(answer.Body)} {
		require.NotContains(t, said, "canary-secret")
	}
	settings["in_flight"] = -1
	_, err = outletPlugin().OpenSink(t.Context(), framework.OpenRequest{Settings: settings})
	require.ErrorContains(t, err, "must be positive")
}
