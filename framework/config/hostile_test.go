//go:build unix

package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/config"
)

// bomb returns a file of a few lines whose aliases stand for 10^levels values.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("connections:\n  - name: shop\n    connector: acme\n    config:\n      a0: &a0 lol\n")
	for i := range levels {
		alias := fmt.Sprintf("*a%d, ", i)
		fmt.Fprintf(&b, "      a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(alias, 10), ", "))
	}
	return b.String()
}

func TestAliasesThatStandForTooMuchAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"ten to the ninth": bomb(9),
		"one long text often": "connections:\n  - config:\n      s: &s \"$${" + strings.Repeat("x", 1<<20) + "}\"\n      l: [" +
			strings.TrimSuffix(strings.Repeat("*s, ", 50_000), ", ") + "]\n",
	} {
		_, err := parse(t, text, nil)
		require.ErrorContains(t, err, "more than 200000 parts", name)
		require.Less(t, len(err.Error()), 10_000, name)
	}
	_, err := parse(t, "connections:\n  - config: &a\n      x: [*a, *a, *a]\n      y: {z: [*a, *a]}\n", nil)
	require.ErrorContains(t, err, "is nested deeper than 32 levels")
	require.ErrorContains(t, err, "there are more problems")
	// Aliases that stand for little are fine.
	_, err = parse(t, "connections:\n  - {name: shop, connector: acme, config: &c {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}\n"+
		"  - {name: second, connector: acme, config: *c}\n", nil)
	require.NoError(t, err)
}

func TestAFileThatNeverEndsIsNotRead(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{"/dev/zero", pipe, t.TempDir()} {
		_, err := parse(t, "admin_token: ${file:"+path+"}\n", nil)
		require.ErrorContains(t, err, "is no regular file", path)
	}
	_, err := config.Load("/dev/zero", nil)
	require.ErrorContains(t, err, "is larger than")
	_, err = config.Load("/dev/null", nil)
	require.NoError(t, err)
}

func TestASecretThatLooksLikeAnAliasIsNotSaid(t *testing.T) {
	t.Parallel()
	_, err := parse(t, "admin_token: *canary-token\n", nil)
	require.ErrorContains(t, err, "put values that begin with * into quotes")
	require.NotContains(t, err.Error(), "canary")
}

// FuzzProblemsHoldNoSecret looks for a panic, a hang, and for what a reference
// stands for in what a problem says.
func FuzzProblemsHoldNoSecret(f *testing.F) {
	f.Add("connections:\n  - name: shop\n    connector: acme\n    config: {api_key: '${SECRET}', pages: ${SECRET}}\n")
	f.Add("listen: '${S}'\nallow_private: ['${S}']\nprojects: [{name: '${S}'}]\nconnections: [{name: '${S}', connector: '${S}', type: '${S}', project: '${S}', streams: ['${S}']}]\n")
	f.Add("listen: 127.0.0.1:1\nallow_private: [10.0.0.0/8]\ndrain_delay: 3s\nprojects: [{name: eu}]\n")
	f.Add("a: &a [*a]\n? {b: c}\n: !!binary aGk=\n<<: *a\n")
	f.Add("connections: [{name: a, connector: acme, config: {pages: .nan, base_url: 1e400, api_key: 2001-01-01}}]")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 || strings.Contains(text, "canary") || strings.Contains(text, "${file:") {
			return
		}
		_, err := config.Parse("weir.yaml", []byte(text), func(string) (string, bool) { return "canary-value-0123", true }, plugins())
		if err != nil {
			require.NotEmpty(t, err.Error())
			require.NotContains(t, err.Error(), "canary-value")
		}
	})
}
