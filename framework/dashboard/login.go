package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

type signInBody struct {
	Next  string
	Wrong bool
}

func (d *Dashboard) signInPage(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if !d.cfg.Sessions.NeedsSignIn() {
		http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath lets only a path of this site through
		return
	}
	d.render(w, r, http.StatusOK, "login.html", page{Title: "Log in", Body: signInBody{Next: next}})
}

func (d *Dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			d.fail(w, r, err)
			return
		}
		// Anybody can send half a form; it is nothing that failed inside.
		ErrorPage(w, r, http.StatusBadRequest, http.StatusText(http.StatusBadRequest), "the form cannot be read; send it again")
		return
	}
	next := localPath(r.PostForm.Get("next"))
	if d.cfg.Sessions.NeedsSignIn() {
		right, err := d.cfg.Sessions.SignIn(w, r, r.PostForm.Get("token"))
		if err != nil {
			d.fail(w, r, err)
			return
		}
		if !right {
			d.render(w, r, http.StatusUnauthorized, "login.html", page{Title: "Log in", Body: signInBody{Next: next, Wrong: true}})
			return
		}
	}
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath lets only a path of this site through
}

func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	d.cfg.Sessions.SignOut(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// localPath keeps a login from sending people to another site: only a path of
// this one will do.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) {
		return "/"
	}
	return u.EscapedPath()
}
