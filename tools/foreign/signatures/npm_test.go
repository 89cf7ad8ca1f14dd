package signatures

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/tools/foreign/need"
)

// npmVerifies asks an npm package whether a signature is good.
func npmVerifies(t *testing.T, name string, body []byte, fields map[string]string) bool {
	t.Helper()
	folder := need.Tool(t, "the npm package "+name, "../node_modules/"+name+"/package.json")
	modules, err := filepath.Abs(folder[:strings.Index(folder, "node_modules")])
	require.NoError(t, err)
	fields["modules"] = modules
	return nodeVerifies(t, name, body, fields)
}

// nodeVerifies asks verify.js whether a signature is good.
func nodeVerifies(t *testing.T, name string, body []byte, fields map[string]string) bool {
	t.Helper()
	fields["package"], fields["body"] = name, base64.StdEncoding.EncodeToString(body)
	in, err := json.Marshal(fields)
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), need.Tool(t, "node"), "verify.js")
	command.Stdin, command.Stderr = strings.NewReader(string(in)), os.Stderr
	out, err := command.Output()
	require.NoError(t, err)
	require.Contains(t, []string{"true", "false"}, string(out))
	return string(out) == "true"
}

func both(t *testing.T, name string, fields map[string]string) {
	t.Helper()
	require.True(t, npmVerifies(t, name, payload, fields), "%s refuses our signature", name)
	require.False(t, npmVerifies(t, name, append(slices.Clip(payload), ' '), fields), "%s accepts anything", name)
}

func TestSquareOfNPM(t *testing.T) {
	t.Parallel()
	r := sign(t, catalog.AuthSquare, secret, payload, nil)
	both(t, "square", map[string]string{"signature": r.Header.Get("X-Square-Hmacsha256-Signature"), "key": secret, "url": public + uri})
}

func TestStandardWebhooksOfNPM(t *testing.T) {
	t.Parallel()
	r := sign(t, catalog.AuthStandardWebhooks, standard, payload, nil)
	both(t, "standardwebhooks", map[string]string{
		"signature": r.Header.Get("Webhook-Signature"), "timestamp": r.Header.Get("Webhook-Timestamp"), "id": "msg_1", "key": standard,
	})
}

func TestDiscordOfNPM(t *testing.T) {
	t.Parallel()
	private := openssl(t, "", "genpkey", "-algorithm", "ed25519")
	r := sign(t, catalog.AuthDiscord, strings.TrimSpace(string(private)), payload, nil)
	der, err := base64.StdEncoding.DecodeString(spki(t, openssl(t, string(private), "pkey", "-pubout")))
	require.NoError(t, err)
	key := hex.EncodeToString(der[len(der)-ed25519.PublicKeySize:])
	both(t, "discord-interactions", map[string]string{
		"signature": r.Header.Get("X-Signature-Ed25519"), "timestamp": r.Header.Get("X-Signature-Timestamp"), "key": key,
	})
	verify(t, catalog.AuthDiscord, key, r)
}

func TestSendGridOfNPM(t *testing.T) {
	t.Parallel()
	private := openssl(t, "", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	r := sign(t, catalog.AuthSendGrid, strings.TrimSpace(string(private)), payload, nil)
	key := spki(t, openssl(t, string(private), "pkey", "-pubout"))
	both(t, "@sendgrid/eventwebhook", map[string]string{
		"signature": r.Header.Get("X-Twilio-Email-Event-Webhook-Signature"), "timestamp": r.Header.Get("X-Twilio-Email-Event-Webhook-Timestamp"), "key": key,
	})
	verify(t, catalog.AuthSendGrid, key, r)
}
