package ui

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/ragscope/ragscope/internal/web/style"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js uplot
	assets embed.FS
)

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page writes the page; its script fetches what changes from /live.
func (u *UI) page(w http.ResponseWriter, _ *http.Request) {
	f, err := u.write()
	var out bytes.Buffer
	if err == nil {
		u.mu.Lock()
		fields := u.form()
		u.mu.Unlock()
		err = pageTemplate.ExecuteTemplate(&out, "page", struct {
			Form        form
			Facts       template.HTML // of the same template, escaped there
			State       string
			CSS         template.CSS
			Agent       string
			FullHistory bool
		}{fields, template.HTML(f.HTML), f.State, template.CSS(style.CSS + pageCSS), u.cfg.Agent, u.fullHistory()})
	}
	if err != nil {
		slog.Error("write the page", "error", err)
		http.Error(w, "the page cannot be written: "+err.Error(), http.StatusInternalServerError)
		return
	}
	policy(w)
	_, _ = w.Write(out.Bytes())
}

func (u *UI) fullHistory() bool {
	if u.cfg.Files == nil {
		return false
	}
	_, full := u.cfg.Files.History()
	return full
}

// live is what changes on the page: the facts as the server writes them, and the points of the
// charts that the script does not have yet.
func (u *UI) live(w http.ResponseWriter, r *http.Request) {
	epoch, _ := strconv.Atoi(r.FormValue("epoch")) // 0, which none is, where it is no number
	from, _ := strconv.Atoi(r.FormValue("from"))
	f, err := u.write()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	u.mu.Lock()
	answer := struct {
		facts
		Chart columns `json:"chart"`
	}{f, u.chart.from(epoch, from)}
	u.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, answer)
}

var assetTypes = map[string]string{
	"page.js": "text/javascript; charset=utf-8", "uPlot.iife.min.js": "text/javascript; charset=utf-8",
	"uPlot.min.css": "text/css; charset=utf-8", "LICENSE": "text/plain; charset=utf-8",
}

func asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	path := "uplot/" + name
	if name == "page.js" {
		path = name
	}
	text, err := assets.ReadFile(path)
	if err != nil || assetTypes[name] == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[name])
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(text)
}
