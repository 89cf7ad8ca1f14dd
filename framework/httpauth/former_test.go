package httpauth

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// one is a state without other processes.
type one map[string][]byte

func (o one) Load(_ context.Context, name string) ([]byte, error) { return o[name], nil }

func (o one) Save(_ context.Context, name string, value []byte) error {
	o[name] = value
	return nil
}

func (o one) Swap(_ context.Context, name string, _, value []byte) (bool, error) {
	o[name] = value
	return true, nil
}

func TestAGrantThatBelongedToItsClientSecretIsTakenUp(t *testing.T) {
	t.Parallel()
	state, c := one{}, Config{ClientID: "client", ClientSecret: "secret", RefreshToken: "r0"}
	_, _, err := sealedBy(state, c, "secret").swap(t.Context(), nil, grant{Generation: 3, Refresh: "r3", Claim: "somebody"})
	require.NoError(t, err)
	v := newVault(state, c)
	g, sealed, err := v.load(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant{Generation: 3, Refresh: "r3"}, g)
	require.Empty(t, sealed)
	_, _, err = v.swap(t.Context(), sealed, grant{Generation: 4, Refresh: "r4"})
	require.NoError(t, err)
	c.ClientSecret = "replaced"
	g, _, err = newVault(state, c).load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "r4", g.Refresh)
}
