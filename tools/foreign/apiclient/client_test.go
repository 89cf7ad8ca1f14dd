package apiclient

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/foreign/need"
)

const patience = time.Minute

// weir builds and runs a weir, and returns its address.
func weir(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "weir")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/weir")
	build.Dir = filepath.Join("..", "..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "weir.yaml"), []byte("connections: []\n"), 0o600))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	process := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "run", "--listen", address)
	process.Dir = folder
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		require.NoError(t, process.Process.Signal(syscall.SIGTERM))
		require.NoError(t, process.Wait())
	})
	require.Eventually(t, func() bool {
		status, _ := read(t, "http://"+address+"/readyz")
		return status == http.StatusOK
	}, patience, 50*time.Millisecond)
	return "http://" + address
}

func read(t *testing.T, url string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, body
}

// The description is a valid OpenAPI 3.1 document, and a client that oapi-codegen
// makes of it takes a connection through its whole life.
func TestAGeneratedClientDrivesTheLifeOfAConnection(t *testing.T) {
	t.Parallel()
	need.Long(t) // the client is twenty thousand lines to compile
	server := weir(t)
	status, description := read(t, server+"/api/v1/openapi.json")
	require.Equal(t, http.StatusOK, status)

	document, err := openapi3.NewLoader().LoadFromData(description)
	require.NoError(t, err)
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.NoError(t, document.Validate(t.Context()))

	folder := t.TempDir()
	file, client := filepath.Join(folder, "openapi.json"), filepath.Join(folder, "client.go")
	require.NoError(t, os.WriteFile(file, description, 0o600))
	generate := exec.CommandContext(t.Context(), "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "client", "-o", client, file)
	out, err := generate.CombinedOutput()
	require.NoError(t, err, string(out))

	// What is generated stands beside the package as it is, without being written there.
	here, err := filepath.Abs("client")
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "client.go"): client}})
	require.NoError(t, err)
	over := filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(over, overlay, 0o600))
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	drive := exec.CommandContext(t.Context(), "go", "run", "-tags", "generated", "-overlay", over, "./drive", server, receiver.URL)
	out, err = drive.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "driven")
}
