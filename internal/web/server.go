package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// New serves the page and the interface.
func New(src Source) http.Handler {
	s := &server{src: src, windows: newWindows()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /api/v1/recording", s.recording)
	mux.HandleFunc("POST /api/v1/windows", s.openWindow)
	mux.HandleFunc("POST /api/v1/windows/{id}/close", s.closeWindow)
	mux.HandleFunc("GET /api/v1/profile/{kind}", s.profile)
	mux.HandleFunc("GET /api/v1/memory", s.memory)
	mux.Handle("GET /pprof/{kind}/{view...}", newPprofUI(src))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "no such resource: "+r.Method+" "+r.URL.Path+"; see GET / for what there is")
	})
	// A page of another site must not open windows through the reader's browser.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "requests that change something must not come from a page of another site")
	}))
	return guard.Handler(mux)
}

type server struct {
	src     Source
	windows *windows
}

func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := s.src.Ready(); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "attached"})
}

func (s *server) recording(w http.ResponseWriter, _ *http.Request) {
	r := s.src.Recording()
	if r == nil {
		fail(w, http.StatusServiceUnavailable, "nothing is recorded yet: "+s.notReady())
		return
	}
	reply(w, http.StatusOK, r)
}

func (s *server) notReady() string {
	if err := s.src.Ready(); err != nil {
		return err.Error()
	}
	return "the agent has just attached, try again in a second"
}

func (s *server) profile(w http.ResponseWriter, r *http.Request) {
	p := Profile{Kind: r.PathValue("kind"), Format: Format(r.FormValue("format")), Endpoint: r.FormValue("endpoint")}
	contentType := map[Format]string{Pprof: "application/octet-stream", SVG: "image/svg+xml"}
	switch p.Format {
	case "":
		p.Format = Pprof
	case Pprof, SVG:
	default:
		fail(w, http.StatusBadRequest, "format is "+string(p.Format)+", want pprof or svg")
		return
	}
	body, err := s.src.Profile(r.Context(), p)
	switch {
	case errors.Is(err, ErrNotMeasured):
		fail(w, http.StatusNotFound, err.Error())
		return
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType[p.Format])
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Format == Pprof {
		h.Set("Content-Disposition", `attachment; filename="profile.pb.gz"`)
	} else {
		// A flame graph may hold its own script and style, and nothing from elsewhere.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
	}
	_, _ = w.Write(body)
}

func reply(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		slog.Error("write an answer as JSON", "error", err)
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

func fail(w http.ResponseWriter, status int, sentence string) {
	reply(w, status, map[string]string{"error": sentence})
}
