package open_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/open"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestURLOpensSQLite(t *testing.T) {
	t.Parallel()
	data, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "a b%?#é")
	for address, dir := range map[string]string{
		"":                data,
		"sqlite:sub/here": filepath.Join(data, "sub/here"),
		"sqlite://" + filepath.ToSlash(filepath.Dir(elsewhere)) + "/a%20b%25%3F%23%C3%A9": elsewhere,
	} {
		s, err := open.URL(t.Context(), address, data, nil)
		require.NoError(t, err, address)
		_, err = os.Stat(filepath.Join(dir, "weir.db"))
		require.NoError(t, err, address)
		_, err = open.URL(t.Context(), address, data, nil)
		require.ErrorIs(t, err, store.ErrLocked)
		require.NoError(t, s.Close())
	}
}

func TestADirectAddressIsThatOfADatabase(t *testing.T) {
	t.Parallel()
	_, err := open.Direct(t.Context(), "", "postgres://u:secret@h/x", t.TempDir(), nil)
	require.ErrorIs(t, err, open.ErrAddress)
	_, err = open.Direct(t.Context(), "postgres://u:secret@h/x", "postgres://u:secret@h:port/x", t.TempDir(), nil)
	require.ErrorIs(t, err, open.ErrAddress)
	require.ErrorContains(t, err, "direct address")
	require.NotContains(t, err.Error(), "secret")
}

func TestURLRefusesAddressesOfNoStore(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"weir.db":               "no scheme",
		"mysql://u:secret@h/db": `scheme "mysql" is unknown`,
		"sqlite:":               "needs the path",
		"sqlite:///":            "needs the path",
		"sqlite://data/weir":    "is followed by a host",
		"sqlite://u:secret@h/x": "is followed by a host",
		"sqlite:x?mode=memory":  "no parameters",
		"sqlite:%zz":            "invalid URL escape",
	} {
		_, err := open.URL(t.Context(), address, t.TempDir(), nil)
		require.ErrorIs(t, err, open.ErrAddress, address)
		require.ErrorContains(t, err, want, address)
		require.NotContains(t, err.Error(), "secret")
	}
}
