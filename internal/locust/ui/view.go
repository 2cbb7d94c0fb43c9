package ui

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// facts is what changes on the page.
type facts struct {
	State     string  `json:"state"`
	Open      bool    `json:"open"` // the model
	Users     int     `json:"users"`
	SpawnRate float64 `json:"spawn_rate"`
	Rate      float64 `json:"rate"`
	HTML      string  `json:"html"`
}

// load describes what is sent. The caller holds the lock.
func (u *UI) load() facts {
	s := u.scenario
	return facts{State: u.state, Open: s.Rate > 0, Users: s.Users, SpawnRate: s.SpawnRate, Rate: s.Rate}
}

// view is what the template of the facts needs, written out.
type view struct {
	State, Scenario, Host, Load, Time string
	Error                             string
	Invalid                           []string
	Tiles                             []tile
	Rows                              []row
	Failures                          []failure
	Streams                           bool
	Share                             string // of the run's time that is over, percent; "" without an end
}

type tile struct{ Label, Value, Note, Tone string }

// row is a task, or all of them, on both clocks.
type row struct {
	Method, Name, Requests, Failures, Limited, Rate, Size string
	Response, Service                                     [4]string // p50, p95, p99, max
	First                                                 [2]string // first token, p50 and p95; "": no stream
	Bad, Total                                            bool
}

type failure struct {
	Method, Name, Error, Count, First, Last string
}

// form is what the form begins with.
type form struct {
	Host, Scenario, Think, RunTime, SpawnRate, Rate string
	Users                                           int
	Scenarios, Classes                              []string
	Open, Staged                                    bool
	Shard                                           string // the part of the load that is sent here, "": all of it
}

// form describes the last run, or the one to come. The caller holds the lock.
func (u *UI) form() form {
	s := u.scenario
	f := form{Host: s.Host, Scenario: s.Name, Shard: u.cfg.Load.Shard.String(), Users: max(s.Users, 1), Open: s.Rate > 0, Staged: len(s.Stages) > 0,
		Scenarios: u.cfg.Scenarios, Think: s.ThinkTime(), SpawnRate: number64(max(s.SpawnRate, 0)), Rate: number64(s.Rate)}
	if classes := u.classes(); u.cfg.ClassPicker && len(classes) > 1 {
		f.Classes = slices.Sorted(maps.Keys(classes))
	}
	if s.Rate == 0 {
		f.Rate = "50"
	}
	if s.SpawnRate == 0 {
		f.SpawnRate = "1"
	}
	if s.RunTime > 0 {
		f.RunTime = short(s.RunTime)
	}
	return f
}

func number64(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// short writes a duration without its zeros: "5m", "1h20m".
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// write returns the facts as they are, at most a second old.
func (u *UI) write() (facts, error) {
	u.mu.Lock()
	f, fresh := u.load(), u.facts.fresh()
	f.HTML = u.facts.value
	u.mu.Unlock()
	if fresh {
		return f, nil
	}
	var out bytes.Buffer
	var err error
	u.look(func(res *load.Result) {
		u.mu.Lock()
		defer u.mu.Unlock()
		err = pageTemplate.ExecuteTemplate(&out, "facts", u.view(res))
		f = u.load()
		f.HTML = out.String()
		u.facts.set(f.HTML)
	})
	return f, err
}

// view writes the result out. The caller holds the lock.
func (u *UI) view(res *load.Result) view {
	v := view{State: u.state, Scenario: u.scenario.Name, Host: u.scenario.Host, Load: loadOf(u.scenario)}
	if part := u.cfg.Load.Shard.String(); part != "" {
		v.Load = "part " + part + " of " + v.Load
	}
	if u.err != nil {
		v.Error = u.err.Error()
	}
	if res == nil {
		return v
	}
	p := u.progress
	elapsed := p.Elapsed
	if u.run != nil {
		elapsed = time.Since(p.Start)
	}
	v.Time = clockTime(elapsed)
	if p.Total > 0 {
		v.Time += " of " + clockTime(p.Total)
		v.Share = fmt.Sprintf("%.1f", min(100*elapsed.Seconds()/p.Total.Seconds(), 100))
	}
	v.Invalid = res.Invalid
	if res.Usage.Saturated() {
		v.Invalid = append(v.Invalid[:len(v.Invalid):len(v.Invalid)], fmt.Sprintf("The machine's CPUs were busy %.0f %% of the time: waits in this run are partly waits for a CPU.", res.Usage.HostBusy*100))
	}
	all := res.All()
	v.Tiles = u.tiles(res, &all)
	for i := range res.Tasks {
		if t := &res.Tasks[i]; t.Requests > 0 {
			v.Rows = append(v.Rows, u.row(res, t, t.Method, t.Name))
		}
	}
	v.Streams = all.FirstToken.Count > 0
	if len(v.Rows) > 0 {
		total := u.row(res, &all, "", "all")
		total.Total = true
		v.Rows = append(v.Rows, total)
	}
	for _, f := range u.cfg.Stats.Reports() {
		v.Failures = append(v.Failures, failure{f.Method, f.Name, f.Error, recording.Number(f.Occurrences), clock(f.First), clock(f.Last)})
	}
	return v
}

func loadOf(s *scenario.Scenario) string {
	think := ""
	if words := s.ThinkTime(); words != "0s" && s.Rate == 0 {
		think = ", think time " + words
	}
	switch {
	case len(s.Stages) > 0 && s.Rate > 0:
		return fmt.Sprintf("%d stages, up to %g requests/s", len(s.Stages), s.Rate)
	case len(s.Stages) > 0:
		return fmt.Sprintf("%d stages, up to %d users%s", len(s.Stages), s.Users, think)
	case s.Rate > 0:
		return fmt.Sprintf("open model, %g requests/s", s.Rate)
	}
	return fmt.Sprintf("%d users, %g started a second%s", s.Users, s.SpawnRate, think)
}

func clock(unix float64) string { return time.UnixMilli(int64(unix * 1000)).Format("15:04:05") }

func clockTime(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func (u *UI) tiles(res *load.Result, all *load.TaskResult) []tile {
	now := u.chart.recent()
	rate := tile{Label: "Requests per second", Value: "–", Note: recording.Number(all.Requests) + " in all"}
	users := tile{Label: "Users", Value: strconv.Itoa(u.progress.Users), Note: plural(int64(u.progress.InFlight), "request") + " under way"}
	if u.scenario.Rate > 0 {
		users = tile{Label: "Under way", Value: strconv.Itoa(u.progress.InFlight), Note: fmt.Sprintf("requests; %g/s are due", u.scenario.Rate)}
	}
	if u.run != nil && now.seconds > 0 {
		rate.Value = fmt.Sprintf("%.1f", now.requests/now.seconds)
	} else if u.run == nil {
		rate.Value, rate.Note = fmt.Sprintf("%.1f", res.RequestsPerSecond()), rate.Note+", over the whole run"
	}
	failed := tile{Label: "Failures", Value: "0 %", Note: "none", Tone: "good"}
	if all.Failures > 0 {
		failed = tile{Label: "Failures", Value: recording.Share(float64(all.Failures) / float64(all.Requests)), Note: plural(all.Failures, "request"), Tone: "bad"}
	}
	if all.Limited > 0 {
		failed.Note += ", " + recording.Number(all.Limited) + " limited (429)"
	}
	lag := tile{Label: "Sent late, p99", Value: figure(res.Lag, .99), Note: "the loader kept its schedule", Tone: "good"}
	if res.Missed > 0 {
		lag.Note = recording.Number(res.Missed) + " were due and not sent"
	}
	if len(res.Invalid) > 0 {
		lag.Note, lag.Tone = "this run is invalid", "bad"
	}
	return []tile{rate, failed,
		{Label: "Response time p95", Value: figure(all.Response, .95), Note: "from when it was due; p50 " + figure(all.Response, .5)},
		{Label: "Service time p95", Value: figure(all.Service, .95), Note: "from when it was sent; p50 " + figure(all.Service, .5)},
		users, lag}
}

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return recording.Number(n) + " " + one + "s"
}

// figure is a quantile of a distribution; 1 is its largest value.
func figure(d recording.Dist, q float64) string {
	switch {
	case d.Count == 0:
		return "–"
	case q == 1:
		return recording.Seconds(d.Max)
	}
	return recording.Seconds(d.Quantile(q))
}

func (u *UI) row(res *load.Result, t *load.TaskResult, method, name string) row {
	r := row{Method: method, Name: name, Requests: recording.Number(t.Requests), Failures: recording.Number(t.Failures), Limited: recording.Number(t.Limited), Bad: t.Failures > 0}
	if s := res.Elapsed.Seconds(); s > 0 {
		r.Rate = fmt.Sprintf("%.1f", float64(t.Requests)/s)
	}
	if t.Requests > 0 {
		r.Size = recording.Bytes(float64(t.Bytes) / float64(t.Requests))
	}
	for i, q := range []float64{.5, .95, .99, 1} {
		r.Response[i], r.Service[i] = figure(t.Response, q), figure(t.Service, q)
	}
	if t.FirstToken.Count > 0 {
		r.First = [2]string{figure(t.FirstToken, .5), figure(t.FirstToken, .95)}
	}
	return r
}
