package stripemock

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v84"
)

func TestAnswersCustomersFromItsFixtures(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, Start(t)+"/v1/customers?limit=3", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer sk_test_123")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	var list struct {
		Object  string                        `json:"object"`
		HasMore bool                          `json:"has_more"`
		Data    []struct{ ID, Object string } `json:"data"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&list))
	require.Equal(t, "list", list.Object)
	require.False(t, list.HasMore, "Weir's tests page the fixtures themselves because it never has more")
	require.NotEmpty(t, list.Data)
	require.Equal(t, "customer", list.Data[0].Object)
	require.NotEmpty(t, list.Data[0].ID)
}

func TestRefusesARequestWithoutKey(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, Start(t)+"/v1/customers", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

func TestSpeaksWithStripesOwnSDK(t *testing.T) {
	t.Parallel()
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{URL: stripe.String(Start(t))})
	client := stripe.NewClient("sk_test_123", stripe.WithBackends(backends))
	seen := 0
	for customer, err := range client.V1Customers.List(t.Context(), &stripe.CustomerListParams{}) {
		require.NoError(t, err)
		require.NotEmpty(t, customer.ID)
		seen++
	}
	require.Positive(t, seen)
}
