package load

import (
	"fmt"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Result is a finished run.
type Result struct {
	*Summary
	Scenario *scenario.Scenario
	Shard    Shard
	Host     string
	Start    time.Time     // of the run, or of the last reset
	Elapsed  time.Duration // start to the last answer
	Missed   int64         // sends of the open model that were due and not made
	Skipped  int64         // steps not sent because the user lacked a variable that an earlier answer should have brought
	Invalid  []string      // why the generator could not keep its schedule
	Usage    Usage
}

// What a valid run may at most show.
const (
	maxLagP99      = 50 * time.Millisecond
	maxMissedShare = 0.01
)

func (r *run) result(sum *Summary) *Result {
	end := sum.LastEnd
	if end == 0 {
		end = r.since()
	}
	res := &Result{
		Summary: sum, Scenario: r.scenario, Shard: r.cfg.Shard, Host: r.base, Start: r.start.Add(sum.Since), Elapsed: end - sum.Since,
		Missed: r.missed.Load() - r.forgotMissed, Skipped: r.skipped.Load(), Usage: r.usage.stop(),
	}
	res.Invalid = invalid(sum, res.Missed, r.crowded.Load()-r.forgotCrowded)
	return res
}

// invalid says why the generator's own weakness spoiled the run; nothing when it did not.
func invalid(sum *Summary, missed, crowded int64) []string {
	var why []string
	if lag := sum.Lag.Quantile(.99); lag > maxLagP99.Seconds() {
		why = append(why, fmt.Sprintf("1 of 100 requests was sent %.0f ms late or later (limit %d ms): the loader's machine is too busy; give it more CPU or lower the load", lag*1000, maxLagP99.Milliseconds()))
	}
	all := sum.All()
	if due := all.Requests + sum.Aborted + missed; due > 0 && float64(missed)/float64(due) > maxMissedShare {
		why = append(why, fmt.Sprintf("%d of %d due requests were not sent (limit %g %%)", missed, due, maxMissedShare*100))
	}
	if crowded > 0 {
		why = append(why, fmt.Sprintf("%d requests found the largest allowed number of requests under way and were not sent: the system under test is far behind; lower the rate or raise max_in_flight", crowded))
	}
	for f, n := range all.Errors {
		if f.Kind == Exhausted {
			why = append(why, fmt.Sprintf("%d requests failed because of %s; raise ulimit -n or lower the load", n, f))
		}
	}
	return why
}

// RequestsPerSecond is requests ÷ Elapsed.
func (r *Result) RequestsPerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.All().Requests) / r.Elapsed.Seconds()
}

// Facts returns the run for the recording.
func (r *Result) Facts() recording.Scenario {
	s, all := r.Scenario, r.All()
	f := recording.Scenario{
		Shard: r.Shard.String(),
		Name:  s.Name, Rate: s.Rate, RunTime: s.RunTime.Seconds(), Host: r.Host,
		Requests: all.Requests, Failures: all.Failures, RequestsPerSec: r.RequestsPerSecond(),
		Invalid: strings.Join(r.Invalid, "; "), ScheduleLagP99: r.Lag.Quantile(.99),
		CPUBusyRatio: r.Usage.HostBusy, LoaderCPURatio: r.Usage.LoaderCores, ThrottledByHost: r.Usage.Saturated(),
		ScheduleLagP50: r.Lag.Quantile(.5), LoaderRunQueue: r.RunQueueByRequest(), LoaderBound: r.LoaderBound(),
	}
	if s.Rate == 0 {
		f.Users, f.SpawnRate, f.ThinkTime = s.Users, s.SpawnRate, s.ThinkTime()
	}
	return f
}

// Recording returns a recording with the client's figures alone; why says why there is nothing
// of an agent in it.
func (r *Result) Recording(why string) *recording.Recording {
	rec := &recording.Recording{
		Schema:      recording.Schema,
		Target:      recording.Target{PIDs: []int{}, Address: strings.TrimPrefix(strings.TrimPrefix(r.Host, "http://"), "https://")},
		Window:      recording.Window{Start: r.Start, Seconds: r.Elapsed.Seconds()},
		NotMeasured: []recording.NotMeasured{{What: "everything the agent measures: stages, calls, pools, memory, CPU", Why: why}},
	}
	rec.Join(r.Facts(), r.Endpoints())
	return rec
}
