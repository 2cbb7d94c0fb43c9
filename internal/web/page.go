package web

import (
	"bytes"
	"crypto/rand"
	_ "embed" // the page's parts
	"html/template"
	"log/slog"
	"net/http"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/web/style"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.js
	pageJS string
)

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page writes the page, or with ?part=facts only what changes: the script fetches that every
// two seconds, so that what the server writes and what the browser shows are one template.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	all := r.FormValue("window") == "all"
	v := s.view(all)
	name, nonce := "page", rand.Text()
	switch r.FormValue("part") {
	case "facts":
		name = "facts"
	case "waits": // for the loader's page
		name, v.Profiles = "waits", nil
	}
	var out bytes.Buffer
	err := pageTemplate.ExecuteTemplate(&out, name, struct {
		view
		CSS   template.CSS
		JS    template.JS
		Nonce string
	}{v, template.CSS(style.CSS), template.JS(pageJS), nonce})
	if err != nil {
		slog.Error("write the page", "error", err)
		fail(w, http.StatusInternalServerError, "the page cannot be written: "+err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'nonce-"+nonce+"'")
	_, _ = w.Write(out.Bytes())
}

func (s *server) view(all bool) view {
	var rec *recording.Recording
	if all {
		rec = s.src.Recording()
	} else {
		rec = s.src.Live()
	}
	v := newView(rec, all)
	v.Profiles = profilesOf(s.src.Profiles())
	if p, ok := s.src.(Pusher); ok {
		v.Pushes = pushesOf(p.Pushes())
	}
	if err := s.src.Ready(); err != nil {
		v.Waiting = err.Error()
	} else if len(v.Endpoints) == 0 {
		v.Waiting = "attached, and no request has arrived yet"
	}
	return v
}
