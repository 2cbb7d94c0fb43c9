package ui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Handler serves the page and the interface.
func (u *UI) Handler() http.Handler {
	mux := http.NewServeMux()
	routes := map[string]http.HandlerFunc{
		"GET /{$}":                             u.page,
		"GET /live":                            u.live,
		"GET /agent":                           u.agent,
		"GET /recording.json":                  u.recording,
		"POST /swarm":                          u.swarm,
		"GET /stop":                            u.stop,
		"GET /stats/reset":                     u.reset,
		"GET /stats/requests":                  u.requests,
		"GET /stats/requests/csv":              u.csv("requests", (*locust.Stats).CSV),
		"GET /stats/failures/csv":              u.csv("failures", (*locust.Stats).FailuresCSV),
		"GET /exceptions/csv":                  u.csv("exceptions", func(*locust.Stats) []byte { return locust.ExceptionsCSV() }),
		"GET /stats/requests_full_history/csv": u.history,
		"GET /stats/report":                    u.report,
		"GET /exceptions":                      u.exceptions,
		"GET /tasks":                           u.tasks,
		"GET /logs":                            u.logs,
		"GET /worker-count":                    u.workerCount,
		"POST /user":                           u.user,
	}
	for route, h := range routes {
		mux.Handle(route, u.cfg.Login.guard(h))
	}
	mux.HandleFunc("GET /login", u.login)
	mux.HandleFunc("POST /login", u.login)
	mux.HandleFunc("GET /assets/{file}", asset)
	h := cors(mux)
	if base := strings.TrimRight(u.cfg.BasePath, "/"); base != "" {
		outer := http.NewServeMux()
		outer.Handle(base+"/", http.StripPrefix(base, h))
		return outer
	}
	return h
}

// cors lets every page ask, as Locust does (flask-cors with its defaults).
func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if origin := r.Header.Get("Origin"); origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Add("Vary", "Origin")
		}
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				h.Set("Access-Control-Allow-Headers", asked)
			}
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		slog.Error("write an answer as JSON", "error", err)
		status, b = http.StatusInternalServerError, []byte(`{"success": false}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

func (u *UI) stop(w http.ResponseWriter, r *http.Request) {
	u.Stop(r.Context())
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "message": "Test stopped"})
}

func (u *UI) reset(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	r := u.run
	u.mu.Unlock()
	if r == nil || !r.control.Reset() {
		u.mu.Lock()
		u.cfg.Stats.Reset(load.Progress{Start: time.Now()})
		u.chart.reset(load.Progress{})
		u.last, u.rec = nil, nil
		u.forget()
		u.mu.Unlock()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("ok"))
}

func (u *UI) requests(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.stats.fresh() {
		b, err := u.cfg.Stats.RequestsJSON(u.state, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		u.stats.set(append(b, '\n'))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(u.stats.value)
}

// fileName is the name that Locust proposes for a download. The caller holds the lock.
func (u *UI) fileName(suffix string) string {
	host := u.scenario.Host
	if host != "" {
		host = "_" + host
	}
	return strings.NewReplacer("\r", "", "\n", "", ";", "").Replace(fmt.Sprintf("Locust_%s_%s%s%s",
		u.cfg.Stats.Start().Format("2006-01-02-15h04"), u.scenario.Name, host, suffix))
}

func (u *UI) csv(name string, of func(*locust.Stats) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		u.mu.Lock()
		text, file := of(u.cfg.Stats), u.fileName("_"+name+".csv")
		u.mu.Unlock()
		w.Header().Set("Content-Type", "text/csv")
		w.Header().Set("Content-Disposition", "attachment;filename="+file)
		_, _ = w.Write(text)
	}
}

func (u *UI) history(w http.ResponseWriter, _ *http.Request) {
	name, full := "", false
	if u.cfg.Files != nil {
		name, full = u.cfg.Files.History()
	}
	if !full {
		http.Error(w, "Error: Server was not started with option to generate full history.", http.StatusNotFound)
		return
	}
	text, err := os.ReadFile(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	u.mu.Lock()
	file := u.fileName("_requests_full_history.csv")
	u.mu.Unlock()
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, max-age=0")
	w.Header().Set("Content-Disposition", `attachment; filename="`+file+`"`)
	_, _ = w.Write(text)
}

func (u *UI) report(w http.ResponseWriter, r *http.Request) {
	var page []byte
	var err error
	u.look(func(res *load.Result) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if res == nil {
			res = &load.Result{Summary: &load.Summary{}, Scenario: u.scenario, Host: u.scenario.Host, Start: time.Now()}
		}
		page, err = locust.HTML(u.cfg.Stats, res)
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.FormValue("download") != "" {
		u.mu.Lock()
		w.Header().Set("Content-Disposition", "attachment;filename="+u.fileName(".html"))
		u.mu.Unlock()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}

// recording gives the run with both clocks: with the agent's view once it has ended.
func (u *UI) recording(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	var body any = u.rec
	none := u.rec == nil
	u.mu.Unlock()
	var text []byte
	var err error
	if none {
		u.look(func(res *load.Result) {
			if res == nil {
				return
			}
			body = res.Recording("the run still goes on")
			text, err = json.Marshal(body)
		})
	} else {
		text, err = json.Marshal(body)
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case text == nil:
		http.Error(w, "nothing was measured yet: start a run", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Disposition", "attachment;filename=recording.json")
		_, _ = w.Write(text)
	}
}

func (u *UI) exceptions(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"exceptions": []any{}}) // there are no scripts that could raise any
}

func (u *UI) workerCount(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]int{"worker_count": 0})
}

func (u *UI) logs(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"master": u.cfg.Logs.Lines(), "workers": map[string]any{}})
}

type ratio struct {
	Ratio number           `json:"ratio"`
	Tasks map[string]ratio `json:"tasks,omitempty"`
}

type number = json.Number

// classes are the scenario's user classes by name; one without names is a class itself.
func (u *UI) classes() map[string]scenario.Class {
	out := map[string]scenario.Class{}
	for _, c := range u.scenario.Classes {
		out[cmp.Or(c.Name, u.scenario.Name)] = c
	}
	return out
}

// tasks is the share of each class and task of what the users do.
func (u *UI) tasks(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.classes()
	sum := 0.0
	for _, c := range all {
		sum += c.Weight
	}
	perClass, total := map[string]ratio{}, map[string]ratio{}
	for name, c := range all {
		share := 0.0
		if u.cfg.Stats.Users > 0 {
			share = c.Weight / sum
		}
		turns := 0.0
		for _, q := range c.Turns {
			turns += q.Weight
		}
		one, part := map[string]ratio{}, map[string]ratio{}
		for _, q := range c.Turns {
			one[q.Name] = ratio{Ratio: locust.Float(q.Weight / turns)}
			part[q.Name] = ratio{Ratio: locust.Float(q.Weight / turns * share)}
		}
		perClass[name], total[name] = ratio{locust.Float(share), one}, ratio{locust.Float(share), part}
	}
	writeJSON(w, http.StatusOK, map[string]any{"per_class": perClass, "total": total})
}

// user is POST /user: which tasks the next run sends.
func (u *UI) user(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Class string   `json:"user_class_name"`
		Tasks []string `json:"tasks"`
		Host  string   `json:"host"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&ask); err != nil {
		http.Error(w, `the body must be {"user_class_name": …, "tasks": [names]}: `+err.Error(), http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	class, known := u.classes()[ask.Class]
	if !known {
		http.Error(w, fmt.Sprintf("there is no user class %q; there are %v", ask.Class, slices.Sorted(maps.Keys(u.classes()))), http.StatusNotFound)
		return
	}
	if ask.Tasks != nil {
		u.chosen = maps.Clone(u.chosen)
		if u.chosen == nil {
			u.chosen = map[string][]string{}
		}
		u.chosen[class.Name] = ask.Tasks
	}
	if ask.Host != "" && u.run == nil {
		u.scenario.Host = ask.Host
	}
	writeJSON(w, http.StatusCreated, map[string]any{})
}
