package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/diagnose"
	"github.com/ragscope/ragscope/internal/recording"
)

// The suite's targets besides latency.
const (
	baselineRate = 50.0  // requests per second, sustained
	peakRate     = 100.0 // for short bursts
	breakingRate = 200.0
	memoryLimit  = 2e9 // bytes of RSS, where the agent was given no other
	baselineErrs = .01
	peakErrs     = .05
	hitRate      = .80
)

// status of a target.
type status string

const (
	pass status = "PASS"
	fail status = "FAIL"
	none status = "NOT MEASURED"
)

// checked is a target with what was measured.
type checked struct {
	target   string
	limit    string
	measured string
	status   status
	why      string // why it was not measured, or a remark
}

func tally(list []checked) (passed, failed, unmeasured int) {
	for _, c := range list {
		switch c.status {
		case pass:
			passed++
		case fail:
			failed++
		default:
			unmeasured++
		}
	}
	return passed, failed, unmeasured
}

func judged(ok bool) status {
	if ok {
		return pass
	}
	return fail
}

// readiness holds every target of the suite against the recordings. Latency is judged in the
// scenario of sustained load: baseline, or the first one.
func readiness(in Input) []checked {
	base := sustained(in)
	var out []checked
	for _, t := range diagnose.Targets {
		d, why := targetLatency(base, t)
		for _, q := range quantiles(t) {
			c := checked{target: targetName(t) + " " + q.name, limit: "< " + recording.Seconds(q.limit), measured: missing, status: none, why: why}
			if d.Count > 0 {
				got := d.Quantile(q.q)
				c.measured, c.status, c.why = recording.Seconds(got), judged(got < q.limit), ""
			}
			out = append(out, c)
		}
	}
	out = append(out,
		throughput(in, "baseline", "Sustained throughput", baselineRate),
		throughput(in, "peak", "Peak throughput", peakRate),
		throughput(in, "breaking", "Breaking point", breakingRate),
		memoryTarget(in.Whole),
		errorTarget(in, "baseline", baselineErrs),
		errorTarget(in, "peak", peakErrs),
		cacheTarget(in.Whole))
	return out
}

type limit struct {
	name     string
	q, limit float64
}

func quantiles(t diagnose.Target) []limit {
	return []limit{{"p50", .5, t.P50}, {"p95", .95, t.P95}, {"p99", .99, t.P99}}
}

func targetName(t diagnose.Target) string {
	_, path, _ := strings.Cut(t.Endpoint, " ")
	if t.Task != "" {
		return path + " (" + t.Task + ")"
	}
	return path
}

// scenario finds a scenario whose name begins with prefix.
func scenario(in Input, prefix string) *recording.Recording {
	for _, r := range in.Scenarios {
		if strings.HasPrefix(strings.ToLower(name(r)), prefix) {
			return r
		}
	}
	return nil
}

// sustained is the scenario of sustained load, in which latency is judged.
func sustained(in Input) *recording.Recording {
	if r := scenario(in, "baseline"); r != nil {
		return r
	}
	return in.Scenarios[0]
}

// targetLatency finds the latency that a target is about: the loader's from the intended send
// time, of the task where several share the endpoint, else the agent's.
func targetLatency(r *recording.Recording, t diagnose.Target) (d recording.Dist, why string) {
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		if e.Endpoint != t.Endpoint {
			continue
		}
		if t.Task == "" {
			if e.Client != nil && e.Client.Response.Count > 0 {
				return e.Client.Response, ""
			}
			return e.Latency, "the endpoint got no request in " + name(r)
		}
		if e.Client != nil {
			for _, k := range e.Client.Tasks {
				if strings.Contains(strings.ToLower(k.Name), t.Task) {
					d.Merge(k.Response)
				}
			}
		}
		if d.Count == 0 {
			why = fmt.Sprintf("no task of %s is named %s, and the agent does not tell the endpoint's tasks apart", name(r), t.Task)
		}
		return d, why
	}
	return d, fmt.Sprintf("%s got no request in %s", t.Endpoint, name(r))
}

func throughput(in Input, prefix, title string, want float64) checked {
	c := checked{target: title, limit: "≥ " + recording.Rate(want), measured: missing, status: none}
	if prefix == "breaking" {
		c.limit = "> " + recording.Rate(want)
	}
	r := scenario(in, prefix)
	switch {
	case r == nil:
		c.why = "no scenario named " + prefix + " was run"
	case r.Scenario.RequestsPerSec == 0:
		c.why = "no loader's figures"
	case r.Scenario.Invalid != "":
		c.measured, c.why = recording.Rate(r.Scenario.RequestsPerSec), "the loader could not keep its schedule: "+r.Scenario.Invalid
	default:
		got := r.Scenario.RequestsPerSec
		offered, known := offeredRate(r.Scenario)
		c.measured = recording.Rate(got)
		if got < want && known && offered < want {
			c.why = fmt.Sprintf("%s offered at most %s, so the target was not tried", name(r), recording.Rate(offered))
		} else {
			c.status = judged(got >= want)
		}
	}
	return c
}

// offeredRate is the most that a scenario could send: its rate, or, in the closed model, its
// users ÷ think time, if every answer came at once.
func offeredRate(s *recording.Scenario) (perSecond float64, known bool) {
	if s.Rate > 0 {
		return s.Rate, true
	}
	think, ok := meanThink(s.ThinkTime)
	if !ok || think <= 0 || s.Users == 0 {
		return 0, false
	}
	return float64(s.Users) / think, true
}

// meanThink reads a scenario's think time: "1s..3s", "2s" or "exponential(2s)", in seconds.
func meanThink(text string) (float64, bool) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "exponential("), ")")
	low, high, ranged := strings.Cut(text, "..")
	if !ranged {
		high = low
	}
	a, err1 := duration(low)
	b, err2 := duration(high)
	return (a + b) / 2, err1 == nil && err2 == nil
}

func duration(text string) (float64, error) {
	text = strings.TrimSpace(text)
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return v, nil
	}
	d, err := time.ParseDuration(text)
	return d.Seconds(), err
}

func memoryTarget(r *recording.Recording) checked {
	limit := memoryLimit
	for _, l := range r.Memory.Limits {
		if l.What == "asked for" {
			limit = float64(l.Bytes)
		}
	}
	c := checked{target: "Memory under sustained load (peak RSS)", limit: "< " + recording.Bytes(limit), measured: missing, status: none, why: "the recordings hold no readings of memory"}
	if peak := peakRSS(r); peak > 0 {
		c.measured, c.status, c.why = recording.Bytes(float64(peak)), judged(float64(peak) < limit), ""
	}
	return c
}

func errorTarget(in Input, prefix string, most float64) checked {
	c := checked{target: "Error rate in " + prefix, limit: "< " + recording.Share(most), measured: missing, status: none, why: "no scenario named " + prefix + " was run with a loader"}
	if r := scenario(in, prefix); r != nil {
		if sum := clients(r); sum.Requests > 0 {
			rate := float64(sum.Failures) / float64(sum.Requests)
			c.measured, c.status, c.why = recording.Share(rate), judged(rate < most), ""
		}
	}
	return c
}

// cacheTarget judges the hit rate of the look-ups that the target made, from Redis's replies.
func cacheTarget(r *recording.Recording) checked {
	c := checked{target: "Cache hit rate (Redis)", limit: "> " + recording.Share(hitRate), measured: missing, status: none, why: "no look-up in Redis was seen"}
	var hits, all int64
	for i := range r.Endpoints {
		hits += r.Endpoints[i].Cache.Hits
		all += r.Endpoints[i].Cache.Hits + r.Endpoints[i].Cache.Misses
	}
	if all > 0 {
		rate := float64(hits) / float64(all)
		c.measured, c.status, c.why = recording.Share(rate), judged(rate > hitRate), fmt.Sprintf("%s look-ups, by their replies", recording.Number(all))
	}
	return c
}

func (b *builder) readiness() Section {
	s := Section{Number: 7, ID: "readiness", Title: "Production readiness", Short: "Readiness"}
	text, _ := verdict(b.targets)
	s.text(text)
	t := &Table{Caption: "Targets", Columns: []Column{{"Target", false}, {"Limit", true}, {"Measured", true}, {"Status", false}, {"Remark", false}}}
	for _, c := range b.targets {
		measured := Cell{Text: c.measured}
		if c.measured == missing {
			measured.Mark = "none"
		}
		t.row(Cell{Text: c.target}, Cell{Text: c.limit}, measured, Cell{string(c.status), mark(c.status)}, Cell{Text: c.why})
	}
	t.Note = fmt.Sprintf("Latency: in scenario %s, loader's clock from the intended send time. 1 GB is 10⁹ bytes.", name(sustained(b.in)))
	s.table(t)
	if len(b.in.Scenarios) > 1 {
		s.table(b.latencyByScenario())
	}
	return s
}

func mark(s status) string {
	return map[status]string{pass: "pass", fail: "fail", none: "none"}[s]
}

// latencyByScenario shows each latency target in every scenario.
func (b *builder) latencyByScenario() *Table {
	t := &Table{Caption: "Latency targets in every scenario", Columns: columns("Endpoint,", "Limit"),
		Note: "Coloured by whether the target is met in that scenario; only sustained load is judged above."}
	for _, r := range b.in.Scenarios {
		t.Columns = append(t.Columns, Column{Title: name(r), Right: true})
	}
	for _, target := range diagnose.Targets {
		for i, q := range quantiles(target) {
			title := targetName(target)
			if i > 0 {
				title = ""
			}
			row := plain(title, q.name, "< "+recording.Seconds(q.limit))
			for _, r := range b.in.Scenarios {
				d, _ := targetLatency(r, target)
				if d.Count == 0 {
					row = append(row, Cell{"–", "none"})
					continue
				}
				got := d.Quantile(q.q)
				row = append(row, Cell{recording.Seconds(got), map[bool]string{true: "ok", false: "over"}[got < q.limit]})
			}
			t.row(row...)
		}
	}
	return t
}
