package runtime

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/alert"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

func TestEachTroubleOfAStreamIsToldOnceAndItsEnd(t *testing.T) {
	t.Parallel()
	view := health.View{Project: "default", Connection: "shop", ConnectionID: "con_1", Stream: "orders", State: health.Healthy}
	kept := map[string]store.State{}
	look := func() (kinds []string) {
		var known []store.State
		for _, s := range kept {
			known = append(known, s)
		}
		states, news := streamAlerts([]health.View{view}, known, time.Now())
		for _, w := range states {
			if kept[w.Name] = (store.State{Name: w.Name, Value: w.Value}); w.Value == nil {
				delete(kept, w.Name)
			}
		}
		for _, a := range news {
			require.Equal(t, []string{"default", "shop", "con_1", "orders"}, []string{a.Project, a.Connection, a.ConnectionID, a.Stream})
			kinds = append(kinds, a.Kind+": "+a.Reason)
		}
		return kinds
	}
	require.Empty(t, look())
	view.State, view.Alarms = health.Late, []health.Alarm{{Kind: health.AlarmLate, Detail: "no success since noon"}}
	require.Equal(t, []string{alert.StreamLate + ": no success since noon"}, look())
	require.Empty(t, look(), "once, also by the next process")
	failed := "401 Unauthorized"
	view.State, view.LastError = health.Failing, &failed
	require.Equal(t, []string{alert.StreamFailing + ": 401 Unauthorized"}, look())
	view.State, view.Alarms = health.Healthy, nil
	require.Equal(t, []string{alert.StreamRecovered + ": it was failing"}, look())
	require.Empty(t, look())
	view.Alarms = []health.Alarm{{Kind: store.AlarmZeroEvents, Detail: "nothing comes"}}
	require.Equal(t, []string{alert.StreamQuiet + ": nothing comes"}, look())
	view.State, view.Alarms = health.Paused, nil
	require.Empty(t, look(), "a pause is no recovery")
}
