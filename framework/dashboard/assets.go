package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

//go:embed assets
var assetFiles embed.FS

type asset struct {
	name, version string
	content       []byte
}

// assets are the embedded files by name. They are read once and never change.
var assets = loadAssets()

func loadAssets() map[string]asset {
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic("dashboard: read embedded assets: " + err.Error())
	}
	out := map[string]asset{}
	for _, e := range entries {
		content, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			panic("dashboard: read embedded asset: " + err.Error())
		}
		sum := sha256.Sum256(content)
		out[e.Name()] = asset{e.Name(), hex.EncodeToString(sum[:6]), content}
	}
	return out
}

// assetURL returns the address of an asset with its version, under which a
// browser may keep it for ever.
func assetURL(name string) string { return "/assets/" + name + "?v=" + assets[name].version }

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[chi.URLParam(r, "name")]
	if !ok {
		ErrorPage(w, r, http.StatusNotFound, "Not Found", "there is no such asset")
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("ETag", `"`+a.version+`"`)
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.content))
}
