package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
)

func TestABackfillIsTriggeredOfWhatCanBeReadByRangeOnly(t *testing.T) {
	t.Parallel()
	c := &connection{Connection: store.Connection{ID: "con_a", Project: "default", Name: "shop", Enabled: true}, manifest: catalog.Manifest{Streams: []catalog.StreamManifest{
		{Key: "orders", Mode: catalog.ModePoll, Backfill: true},
		{Key: "stock", Mode: catalog.ModePoll},
		{Key: "events", Mode: catalog.ModeWebhook},
	}}}
	r := &Runtime{}
	r.set.Store(&connectionSet{byID: map[string]*connection{c.ID: c}})
	call := func(target, input string) error {
		_, err := r.builtIn("default", trigger.ActionBackfill, target, framework.ActionInput{JSON: []byte(input)}, action.Call{})
		return err
	}
	const days = `{"from": "2026-01-01", "to": "2026-01-03", "window": "1d"}`
	require.NoError(t, call("shop.orders", days))
	require.ErrorContains(t, call("shop.stock", days), "reads neither from nor to")
	require.ErrorContains(t, call("shop.events", days), "has no poll stream")
	require.ErrorContains(t, call("shop.gone", days), "has no poll stream")
	for input, want := range map[string]string{
		`{"from": "2026-01-01", "to": "2026-01-03", "window": "1ms"}`: "choose a longer window",
		`{"from": "2026-01-03", "to": "2026-01-01"}`:                  "is not after from",
	} {
		err := call("shop.orders", input)
		require.ErrorIs(t, err, framework.ErrInput)
		require.ErrorContains(t, err, want)
	}
}
