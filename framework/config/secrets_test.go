package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/seal"
)

func TestReadsHowSecretsAreKept(t *testing.T) {
	t.Parallel()
	f, err := config.Parse("weir.yaml", []byte("secrets:\n  key_file: /etc/weir/key\n  env: [SHOP_KEY, STRIPE_*]\n  dir: /run/secrets\n"), os.LookupEnv, nil)
	require.NoError(t, err)
	require.Equal(t, config.Secrets{KeyFile: "/etc/weir/key", Env: []string{"SHOP_KEY", "STRIPE_*"}, Dir: "/run/secrets"}, f.Secrets)
	require.Equal(t, []string{"SHOP_KEY", "STRIPE_*"}, f.Secrets.References().Names)
	require.False(t, f.Secrets.References().Free)

	_, err = config.Parse("weir.yaml", []byte("secrets:\n  env: [WEIR_ADMIN_TOKEN, WEIR*, \"*\", A-B, weir_x]\n  dir: secrets\n  keyfile: x\n"), os.LookupEnv, nil)
	for _, want := range []string{
		"2:9: env: WEIR_ADMIN_TOKEN belongs to weir itself", "env: WEIR* belongs to weir itself", `env: "*" is no name`, `env: "A-B" is no name`,
		"env: weir_x belongs to weir itself", `"secrets" is no absolute path`, `has no key "keyfile"; did you mean "key_file"?`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestReadsTheKeysThatSealSecrets(t *testing.T) {
	t.Parallel()
	first, second := seal.NewKey(), seal.NewKey()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("# made in March\n"+first+"\n"+second+" # the old one\n"), 0o600))
	fromFile, err := config.Secrets{KeyFile: path}.Keys()
	require.NoError(t, err)
	fromText, err := config.Secrets{Key: first + "," + second}.Keys()
	require.NoError(t, err)
	require.Equal(t, fromText.ID(), fromFile.ID())
	none, err := config.Secrets{}.Keys()
	require.NoError(t, err)
	require.Nil(t, none)

	_, err = config.Secrets{Key: first, KeyFile: path}.Keys()
	require.ErrorContains(t, err, "both set")
	_, err = config.Secrets{Key: "not-a-key-canary"}.Keys()
	require.ErrorContains(t, err, "WEIR_SECRET_KEY: secret key 1 does not begin with")
	require.NotContains(t, err.Error(), "canary")
	_, err = config.Secrets{KeyFile: path + "x"}.Keys()
	require.ErrorContains(t, err, "secrets.key_file: file")
	require.Empty(t, config.Secrets{KeyFile: path}.Exposed())
	require.NoError(t, os.Chmod(path, 0o644))
	require.Contains(t, config.Secrets{KeyFile: path}.Exposed(), "chmod o=")
	require.NoError(t, os.WriteFile(path, []byte("# nothing\n"), 0o600))
	require.NoError(t, os.Chmod(path, 0o600))
	_, err = config.Secrets{KeyFile: path}.Keys()
	require.ErrorContains(t, err, "holds no key")
}
