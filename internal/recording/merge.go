package recording

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Merge joins recordings of one target, taken one after the other, into one whose window
// reaches from the first start to the last end. Counts and distributions add up; maxima stay
// maxima; timelines are put on one axis. What cannot be computed from the parts (memory
// growth across gaps, a ranking of bottlenecks) is left out, and NotMeasured says so.
// The parts are not changed. Windows that overlap would count requests twice and are an
// error.
func Merge(parts ...*Recording) (*Recording, error) {
	if len(parts) == 0 {
		return nil, errors.New("merge recordings: there are none")
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b *Recording) int { return a.Window.Start.Compare(b.Window.Start) })
	if err := mergeable(parts); err != nil {
		return nil, err
	}
	first, last := parts[0], parts[len(parts)-1]
	m := &Recording{Schema: Schema, Target: first.Target, Host: first.Host}
	m.Target.PIDs = nil
	m.Window = Window{Start: first.Window.Start, Seconds: last.end().Sub(first.Window.Start).Seconds()}
	for _, p := range parts {
		shift := p.Window.Start.Sub(m.Window.Start).Seconds()
		m.addTarget(p.Target)
		m.addEndpoints(p.Endpoints)
		m.addPools(p.Pools, shift)
		m.addEventLoop(p.EventLoop)
		m.addSleeps(p.Sleeps)
		m.addTimelines(p, shift)
		m.addBackends(p)
		m.addLosses(p.Losses)
		m.addProbes(p.Probes)
		m.addNotMeasured(p.NotMeasured)
	}
	m.Overhead = mergeOverhead(parts)
	m.Scenario = mergeScenarios(parts)
	m.mergeGrowth(parts)
	m.Normalise()
	return m, nil
}

// JoinClients puts the loader's figures of the parts, one per scenario, beside the agent's
// of the whole run: whole gets their clients and their joined scenario. An endpoint that only
// the loader knows is added with no requests of the agent.
func JoinClients(whole *Recording, parts ...*Recording) {
	for _, p := range parts {
		for _, e := range p.Endpoints {
			if e.Client != nil {
				mergeClient(whole.endpoint(e.Endpoint), e.Client)
			}
		}
	}
	whole.Scenario = mergeScenarios(parts)
	whole.Normalise()
}

func (r *Recording) end() time.Time {
	return r.Window.Start.Add(time.Duration(r.Window.Seconds * float64(time.Second)))
}

// slack is how far windows may overlap: the agent's reading of its clock, not a real overlap.
const slack = time.Second

func mergeable(parts []*Recording) error {
	for i := 1; i < len(parts); i++ {
		a, b := parts[i-1], parts[i]
		if a.end().After(b.Window.Start.Add(slack)) {
			return fmt.Errorf("merge recordings: the window that starts at %s begins before the one of %s ends, so requests would count twice; keep one of the two",
				b.Window.Start.Format(time.RFC3339), a.Window.Start.Format(time.RFC3339))
		}
	}
	return nil
}

func (r *Recording) addTarget(t Target) {
	for _, pid := range t.PIDs {
		if !slices.Contains(r.Target.PIDs, pid) {
			r.Target.PIDs = append(r.Target.PIDs, pid)
		}
	}
}

// addTimelines shifts a part's timelines onto r's axis.
func (r *Recording) addTimelines(p *Recording, shift float64) {
	for _, t := range p.Timeline {
		t.T += shift
		r.Timeline = append(r.Timeline, t)
	}
	r.Memory.add(&p.Memory, shift)
}

func (r *Recording) addBackends(p *Recording) {
	for _, b := range p.Backends {
		i := slices.IndexFunc(r.Backends, func(o Backend) bool { return o.Peer == b.Peer && o.Address == b.Address })
		if i < 0 {
			b.Values, b.Rates = maps.Clone(b.Values), maps.Clone(b.Rates)
			r.Backends = append(r.Backends, b)
			continue
		}
		old := &r.Backends[i]
		before := p.Window.Start.Sub(r.Window.Start).Seconds()
		old.Rates = weighted(old.Rates, before, b.Rates, p.Window.Seconds)
		old.Values, old.Error = maps.Clone(b.Values), b.Error
		old.Version = cmp.Or(b.Version, old.Version)
	}
}

// weighted joins two sets of rates per second by the seconds they cover. A rate that only one
// of them has is dropped: over the other's seconds it is unknown.
func weighted(a map[string]float64, aSeconds float64, b map[string]float64, bSeconds float64) map[string]float64 {
	if aSeconds+bSeconds <= 0 {
		return nil
	}
	out := map[string]float64{}
	for k, v := range a {
		if w, ok := b[k]; ok {
			out[k] = (v*aSeconds + w*bSeconds) / (aSeconds + bSeconds)
		}
	}
	return out
}

func (r *Recording) addLosses(losses []Loss) {
	for _, l := range losses {
		o := slot(&r.Losses, Loss{Source: l.Source, Reason: l.Reason}, func(o Loss) bool { return o.Source == l.Source && o.Reason == l.Reason })
		o.Count += l.Count
	}
}

// addProbes counts a probe as attached only when it was so in every part.
func (r *Recording) addProbes(probes []Probe) {
	for _, p := range probes {
		o := slot(&r.Probes, p, func(o Probe) bool { return o.Probe == p.Probe })
		o.Attached = o.Attached && p.Attached
		o.Reason = cmp.Or(o.Reason, p.Reason)
	}
}

func (r *Recording) addNotMeasured(list []NotMeasured) {
	for _, n := range list {
		if !slices.Contains(r.NotMeasured, n) {
			r.NotMeasured = append(r.NotMeasured, n)
		}
	}
}

// mergeOverhead weighs the ratios by the seconds and the price of a request by the requests
// that they were computed over.
func mergeOverhead(parts []*Recording) Overhead {
	var o Overhead
	var seconds, requests float64
	var modes, bases []string
	for _, p := range parts {
		n := 0.0
		for _, e := range p.Endpoints {
			n += float64(e.Requests)
		}
		o.TargetRatio += p.Overhead.TargetRatio * p.Window.Seconds
		o.AgentCPURatio += p.Overhead.AgentCPURatio * p.Window.Seconds
		o.PrecisionShare += p.Overhead.PrecisionShare * p.Window.Seconds
		o.SecondsPerRequest += p.Overhead.SecondsPerRequest * n
		o.StackRates = mergeStackRates(o.StackRates, p.Overhead.StackRates)
		o.AgentRSSBytes = max(o.AgentRSSBytes, p.Overhead.AgentRSSBytes)
		seconds += p.Window.Seconds
		requests += n
		modes = appendNew(modes, p.Overhead.PrecisionMode)
		bases = appendNew(bases, p.Overhead.Basis)
	}
	if seconds > 0 {
		o.TargetRatio /= seconds
		o.AgentCPURatio /= seconds
		o.PrecisionShare /= seconds
	}
	if requests > 0 {
		o.SecondsPerRequest /= requests
	}
	o.PrecisionMode, o.Basis = strings.Join(modes, ", then "), strings.Join(bases, "; ")
	return o
}

func appendNew(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
