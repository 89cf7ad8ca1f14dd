package runtime

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store"
)

func TestWholeIDsAreLookedUpAsOtherSubscriptionsAreMatched(t *testing.T) {
	t.Parallel()
	set := newSet()
	for i := range 20 {
		id := fmt.Sprint("con_", i)
		c := &connection{Connection: store.Connection{ID: id, Project: "default", Name: fmt.Sprint("shop", i)}}
		c.manifest.Streams = []catalog.StreamManifest{{Key: "orders"}, {Key: fmt.Sprint("only", i)}}
		set.byID[id] = c
	}
	known, _ := set.project("default")
	require.Len(t, set.exact, len(known), "nothing is looked up")
	for _, subscriptions := range [][]string{
		{"shop7.orders"}, {"shop9.only9", "shop3.orders", "shop9.only9"}, {"only4"}, {"shop1*.orders", "shop2.only2"}, {"/shop[0-3][.]orders/"},
	} {
		want, wantErrs := config.Subscribed(subscriptions, known)
		got, errs := set.subscribed("default", subscriptions)
		require.NotEmpty(t, want)
		require.Equal(t, want, got, subscriptions)
		require.NoError(t, errors.Join(wantErrs...), subscriptions)
		require.NoError(t, errors.Join(errs...), subscriptions)
	}
	_, errs := set.subscribed("default", []string{"shop7.orders", "shop7.order"})
	require.ErrorContains(t, errors.Join(errs...), "shop7.orders")
	_, errs = set.subscribed("other", []string{"shop7.orders"})
	require.Error(t, errors.Join(errs...), "of another project")
}
