package reference_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/reference"
)

func env(name string) (string, bool) {
	v, ok := map[string]string{
		"SHOP_KEY": "shop-secret", "STRIPE_KEY": "stripe-secret", "HOME": "/home/x", "EMPTY": "",
		"WEIR_ADMIN_TOKEN": "canary-admin", "weir_admin_token": "canary-admin", "WEIR_SECRET_KEY": "canary-key",
	}[name]
	return v, ok
}

// What arrives through the API reads what the operator has listed and nothing
// else, and learns nothing about the rest.
func TestTheAPIReadsListedNamesOnly(t *testing.T) {
	t.Parallel()
	p := reference.Policy{Env: env, Names: []string{"SHOP_*", "STRIPE_KEY", "EMPTY", "WEIR_ADMIN_TOKEN", "*"}[:4]}
	got, err := p.Expand("a ${SHOP_KEY} b ${STRIPE_KEY} $${SHOP_KEY}")
	require.NoError(t, err)
	require.Equal(t, "a shop-secret b stripe-secret ${SHOP_KEY}", got)
	refusal := func(name string) string {
		_, err := p.Expand("${" + name + "}")
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "canary")
		return strings.ReplaceAll(err.Error(), `"`+name+`"`, "X")
	}
	set, unset := refusal("HOME"), refusal("NOT_SET_AT_ALL")
	require.Equal(t, unset, set, "whether a name is set is nobody's business")
	require.Contains(t, set, "secrets.env")
	for _, own := range []string{"WEIR_ADMIN_TOKEN", "weir_admin_token", "WEIR_SECRET_KEY", "STRIPE_KEY ", "STRIPE_KEYX", "shop_key", "SHOP"} {
		require.Equal(t, unset, refusal(own), own)
	}
	all := reference.Policy{Env: env, Names: []string{"*", "W*", "WEIR_*"}}
	_, err = all.Expand("${WEIR_ADMIN_TOKEN}")
	require.ErrorContains(t, err, "may not be read", "also not when the list says so")
	_, err = (reference.Policy{Env: env}).Expand("${SHOP_KEY}")
	require.ErrorContains(t, err, "may not be read", "nothing is listed")
	_, err = p.Expand("${EMPTY}")
	require.ErrorContains(t, err, "is empty")
}

func TestTheAPIReadsFilesBelowOneFolderOnly(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "secrets")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub", "..data"), 0o700))
	write := func(path, content string) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write(filepath.Join(top, "outside"), "canary")
	write(filepath.Join(dir, "key"), "in-the-folder\r\n")
	write(filepath.Join(dir, "sub", "..data", "key"), "mounted\n")
	write(filepath.Join(dir, "large"), strings.Repeat("x", reference.MaxFileBytes+1))
	write(filepath.Join(dir, "empty"), "\n")
	for _, link := range [][2]string{
		{"../outside", "out"},
		{filepath.Join(top, "outside"), "absolute"},
		{"..", "up"},
		{filepath.Join("..data", "key"), filepath.Join("sub", "key")},
	} {
		require.NoError(t, os.Symlink(link[0], filepath.Join(dir, link[1])))
	}
	p := reference.Policy{Dir: dir}
	for path, want := range map[string]string{
		filepath.Join(dir, "key"): "in-the-folder", filepath.Join(dir, "sub", "key"): "mounted", dir + "/sub/../key": "in-the-folder",
	} {
		got, err := p.Expand("${file:" + path + "}")
		require.NoError(t, err, path)
		require.Equal(t, want, got)
	}
	for _, path := range []string{
		filepath.Join(top, "outside"), dir + "/../outside", dir + "/out", dir + "/absolute", dir + "/up/outside", dir, dir + "/", dir + "x/key",
		"/etc/passwd", "/proc/self/environ", "key", "secrets/key", "", "../outside", dir + "/large", dir + "/empty", dir + "/sub", dir + "/none", dir + "/key\x00",
	} {
		got, err := p.Expand("${file:" + path + "}")
		require.Error(t, err, path)
		require.Empty(t, got)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err := (reference.Policy{Names: []string{"*"}}).Expand("${file:" + filepath.Join(dir, "key") + "}")
	require.ErrorContains(t, err, "secrets.dir")
}

func TestTheOperatorsFileReadsAnything(t *testing.T) {
	t.Parallel()
	p := reference.Policy{Free: true, Env: env}
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("from a file\n"), 0o600))
	got, err := p.Expand("${HOME}${WEIR_ADMIN_TOKEN}${file:" + path + "}")
	require.NoError(t, err)
	require.Equal(t, "/home/xcanary-adminfrom a file", got)
	for text, want := range map[string]string{
		"${NOT}": "is not set", "${EMPTY}": "is empty", "${}": "names nothing", "${HOME": "never closed", "${file:/dev/zero}": "no regular file",
	} {
		_, err := p.Expand(text)
		require.ErrorContains(t, err, want)
	}
}

func TestKnowsAReferenceFromAPlainText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": false, "plain": false, "$x": false, "{x}": false, "$${x}": false, "a $${ b": false, "${x}": true, "a${x": true, "$${x} ${y}": true,
	} {
		require.Equal(t, want, reference.Has(text), text)
	}
}
