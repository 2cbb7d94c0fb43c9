package ui

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

// order is what POST /swarm asks for.
type order struct {
	form      url.Values
	users     int
	spawnRate float64
	rate      float64
	runTime   time.Duration
	staged    bool // neither users nor a rate: what the scenario says
}

// badRunTime are Locust's words.
const badRunTime = "Valid run_time formats are : 20, 20s, 3m, 2h, 1h20m, 3h30m10s, etc."

const missing = "Missing user_count or spawn_rate from /swarm request"

func readOrder(form url.Values) (o order, complaint string) {
	o.form = form
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	var err error
	if v := text("run_time"); v != "" {
		if o.runTime, err = scenario.ParseDuration(v); err != nil || o.runTime == 0 {
			return o, badRunTime
		}
	}
	if v := text("rate"); v != "" {
		if o.rate, err = scenario.ParseRate(v); err != nil {
			return o, "rate: " + err.Error()
		}
		return o, ""
	}
	if v := text("user_count"); v != "" {
		if o.users, err = strconv.Atoi(v); err != nil || o.users < 0 {
			return o, fmt.Sprintf("user_count: %q is not a number of users", v)
		}
	}
	if v := text("spawn_rate"); v != "" {
		if o.spawnRate, err = strconv.ParseFloat(v, 64); err != nil || !(o.spawnRate >= 0) {
			return o, fmt.Sprintf("spawn_rate: %q is not a number of users a second", v)
		}
	}
	o.staged = !form.Has("user_count") && !form.Has("spawn_rate")
	if !o.staged && (text("user_count") == "" || o.spawnRate == 0) {
		return o, missing
	}
	return o, ""
}

// swarm is POST /swarm.
func (u *UI) swarm(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 20); err != nil && r.PostForm == nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o, complaint := readOrder(r.PostForm)
	u.mu.Lock()
	defer u.mu.Unlock()
	message := "Swarming started"
	if complaint == "" {
		switch {
		case u.run == nil:
			message, complaint = u.begin(o)
		case u.state == cleanup:
			complaint = "the last run is still ending: its requests are awaited, up to --stop-timeout; try again in a moment"
		default:
			complaint = u.change(o)
		}
	}
	answer := map[string]any{"success": complaint == "", "message": message, "host": u.scenario.Host}
	switch {
	case complaint != "":
		answer["message"] = complaint
		slog.Error("POST /swarm: " + complaint)
	case o.runTime > 0:
		answer["run_time"] = o.runTime.Seconds()
	}
	if complaint == "" && u.cfg.ClassPicker {
		answer["user_classes"] = slices.Sorted(maps.Keys(u.classes()))
	}
	u.forget()
	writeJSON(w, http.StatusOK, answer)
}

// begin starts what was ordered.
func (u *UI) begin(o order) (message, complaint string) {
	name := o.form.Get("scenario")
	if name == u.scenario.Name || name != "" && !slices.Contains(u.cfg.Scenarios, name) {
		name = "" // files are chosen on the command line
	}
	s, err := u.cfg.Scenario(name)
	if err != nil {
		return "", err.Error()
	}
	// Locust takes them out so that no page shows a host as markup; no URL has any.
	host := strings.NewReplacer("<", "", ">", "").Replace(cmp.Or(o.form.Get("host"), u.scenario.Host))
	if host != "" && host != s.Host {
		s.SetHost(host)
	}
	if complaint := u.choose(s, o.form); complaint != "" {
		return "", complaint
	}
	if complaint := checkHosts(s); complaint != "" {
		return "", complaint
	}
	message = "Swarming started"
	switch {
	case o.rate > 0:
		s.Users, s.Rate, s.Stages = 0, o.rate, nil
	case !o.staged && o.users == 0:
		return "", "user_count: at least one user is needed to start"
	case !o.staged:
		s.Users, s.SpawnRate, s.Rate, s.Stages = o.users, o.spawnRate, 0, nil
	case len(s.Stages) > 0:
		message = fmt.Sprintf("Swarming started using shape class '%s'", s.Name)
	default:
		return "", missing
	}
	if v := o.form.Get("think_time"); v != "" && v != s.ThinkTime() {
		think, err := scenario.ParseThink(v)
		if err != nil {
			return "", err.Error()
		}
		s.SetThink(think)
	}
	if o.form.Has("run_time") || o.runTime > 0 {
		if s.RunTime = o.runTime; s.RunTime == 0 && o.staged {
			for _, stage := range s.Stages {
				s.RunTime += stage.Duration
			}
		}
	}
	if err := s.CheckUsers(); err != nil {
		return "", err.Error()
	}
	u.start(s)
	return message, ""
}

// checkHosts says what is wrong with the base URL of a class, "" when all are right.
func checkHosts(s *scenario.Scenario) string {
	for _, c := range s.Classes {
		host := cmp.Or(c.Host, s.Host)
		if host == "" {
			return "host is missing: name the API, such as http://localhost:8000"
		}
		if _, err := load.BaseURL(host); err != nil {
			return err.Error()
		}
		s.Host = cmp.Or(s.Host, host)
	}
	return ""
}

// choose keeps the tasks that were asked for.
func (u *UI) choose(s *scenario.Scenario, form url.Values) (complaint string) {
	words := func(name string) []string {
		return strings.FieldsFunc(strings.Join(form[name], ","), func(r rune) bool { return r == ',' || r == ' ' })
	}
	var errs []error
	if u.cfg.ClassPicker {
		errs = append(errs, s.Only(form["user_classes"]))
	}
	if form.Has("tags") || form.Has("exclude_tags") {
		errs = append(errs, s.Filter(words("tags"), words("exclude_tags")))
	}
	for class, names := range u.chosen {
		errs = append(errs, s.OnlyTasks(class, names))
	}
	if err := errors.Join(errs...); err != nil {
		return err.Error()
	}
	return ""
}

// change gives the run another load.
func (u *UI) change(o order) (complaint string) {
	open := u.scenario.Rate > 0
	switch {
	case o.staged && o.rate == 0:
		return missing
	case open && o.rate == 0:
		return "this run is of the open model: give rate, the requests a second; stop it to run users"
	case !open && o.rate > 0:
		return "this run is of the closed model: give user_count and spawn_rate; stop it to send at a rate"
	case open:
		u.run.control.Set(o.rate, 0)
	default:
		u.run.control.Set(float64(o.users), o.spawnRate)
		u.state = spawning
	}
	now := *u.scenario // the run reads its own
	now.Users, now.SpawnRate, now.Rate, now.Stages = o.users, o.spawnRate, o.rate, nil
	u.scenario = &now
	slog.Info("load changed", "users", o.users, "spawn_rate", o.spawnRate, "rate", o.rate)
	if o.runTime > 0 { // from now on, as in Locust
		stop, over := u.run.stop, u.run.over
		timer := time.AfterFunc(o.runTime, stop)
		go func() {
			<-over
			timer.Stop()
		}()
	}
	if h := o.form.Get("host"); h != "" && h != u.scenario.Host {
		slog.Warn("another host is taken by the next run; stop this one first", "host", h)
	}
	return ""
}
