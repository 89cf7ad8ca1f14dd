package trigger

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatATriggerSaysOnceTheBodyIsHereCounts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		settings map[string]any // of the trigger meanwhile, nil for none
		method   string
		want     int
	}{
		"deleted":             {nil, "", http.StatusNotFound},
		"another method":      {map[string]any{"public": true}, http.MethodDelete, http.StatusMethodNotAllowed},
		"not public any more": {map[string]any{"auth_token": token}, http.MethodPut, http.StatusUnauthorized},
		"as it was":           {map[string]any{"public": true}, http.MethodPut, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			transport, ok := b.client.Transport.(*http.Transport)
			require.True(t, ok)
			transport.ExpectContinueTimeout = time.Minute
			reading := make(chan struct{})
			body, rest := io.Pipe()
			trace := &httptrace.ClientTrace{Got100Continue: func() { close(reading) }}
			r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPut, b.url+"/sink/trigger/http/default/hook", body)
			require.NoError(t, err)
			r.Header.Set("Expect", "100-continue")
			r.Header.Set("Content-Type", "application/json")
			go func() {
				<-reading // the trigger was found, and its body is waited for
				var now []Target
				if row.settings != nil {
					now = append(now, b.target(t, "/hook", row.method, row.settings))
				}
				b.table.Replace(now)
				_, _ = rest.Write([]byte(`{"a":1}`))
				_ = rest.Close()
			}()
			a, err := b.client.Do(r)
			require.NoError(t, err)
			defer func() { _ = a.Body.Close() }()
			_, err = io.Copy(io.Discard, a.Body)
			require.NoError(t, err)
			require.Equal(t, row.want, a.StatusCode)
		})
	}
}
