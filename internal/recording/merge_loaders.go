package recording

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MergeLoaders adds up what several loaders measured of one run at the same time. Histograms,
// counts and sums add exactly. Users and rates are those of the whole where the parts are shards of
// it, else they add up; lateness and the load of the machines are the worst part's. The agent's
// view is taken from the part that has one: it saw the requests of all loaders. The parts are not
// changed. The same part twice is an error.
func MergeLoaders(parts ...*Recording) (*Recording, error) {
	if len(parts) == 0 {
		return nil, errors.New("merge: there are no recordings")
	}
	if err := distinct(parts); err != nil {
		return nil, err
	}
	base := parts[0]
	for _, p := range parts {
		if p.watched() && (!base.watched() || p.Window.Seconds > base.Window.Seconds) {
			base = p
		}
	}
	m := *base
	m.Endpoints = nil
	for _, e := range base.Endpoints {
		e.Client = nil
		if e.Requests > 0 || !base.watched() {
			m.Endpoints = append(m.Endpoints, e)
		}
	}
	m.NotMeasured = slices.Clone(base.NotMeasured)
	var clients []Endpoint
	for _, p := range parts {
		for _, e := range p.Endpoints {
			if e.Client != nil {
				mergeClient(slot(&clients, Endpoint{Endpoint: e.Endpoint}, func(o Endpoint) bool { return o.Endpoint == e.Endpoint }), e.Client)
			}
		}
		if !base.watched() {
			if p.Window.Start.Before(m.Window.Start) {
				m.Window.Seconds += m.Window.Start.Sub(p.Window.Start).Seconds()
				m.Window.Start = p.Window.Start
			}
			m.Window.Seconds = max(m.Window.Seconds, p.end().Sub(m.Window.Start).Seconds())
		}
		if p != base && p.watched() {
			m.NotMeasured = append(m.NotMeasured, NotMeasured{"the agent's view in the part of " + p.Window.Start.UTC().Format("15:04:05"), "one part's view is kept: it saw the requests of all loaders"})
		}
	}
	m.Join(loaderScenarios(parts), clients)
	if why := incomplete(parts); why != "" {
		m.NotMeasured = append(m.NotMeasured, NotMeasured{"the whole run", why})
	}
	m.Normalise()
	return &m, nil
}

// watched says whether an agent took part.
func (r *Recording) watched() bool { return len(r.Target.PIDs) > 0 }

func distinct(parts []*Recording) error {
	for i, p := range parts {
		if p.Scenario == nil {
			return fmt.Errorf("merge: part %d holds no load: name recordings that loader run left", i+1)
		}
		for j, o := range parts[:i] {
			same := p.Window.Start.Equal(o.Window.Start) && p.Window.Seconds == o.Window.Seconds && p.Scenario.Requests == o.Scenario.Requests
			if same || p.Scenario.Shard != "" && p.Scenario.Shard == o.Scenario.Shard {
				return fmt.Errorf("merge: parts %d and %d are the same%s, so requests would count twice; name each once", j+1, i+1, strings.TrimRight(" shard "+p.Scenario.Shard, " "))
			}
		}
	}
	return nil
}

// incomplete says which shards are missing.
func incomplete(parts []*Recording) string {
	var of int
	have := map[int]bool{}
	for _, p := range parts {
		var i, n int
		if _, err := fmt.Sscanf(p.Scenario.Shard, "%d/%d", &i, &n); err != nil {
			continue
		}
		if of != 0 && n != of {
			return fmt.Sprintf("the parts are shards of %d and of %d", of, n)
		}
		of, have[i] = n, true
	}
	var missing []string
	for i := 1; i <= of; i++ {
		if !have[i] {
			missing = append(missing, fmt.Sprintf("%d/%d", i, of))
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "shards are missing: " + strings.Join(missing, ", ")
}

func loaderScenarios(parts []*Recording) Scenario {
	m := *parts[0].Scenario
	m.LoaderBound, m.Invalid, m.Shard = nil, "", ""
	m.Requests, m.Failures, m.RequestsPerSec, m.LoaderCPURatio, m.LoaderRunQueue = 0, 0, 0, 0, 0
	var names, invalid []string
	for i, p := range parts {
		s := p.Scenario
		names = appendNew(names, s.Name)
		who := fmt.Sprintf("loader %d of %d: ", i+1, len(parts))
		if s.Invalid != "" {
			invalid = append(invalid, who+s.Invalid)
		}
		for _, why := range s.LoaderBound {
			m.LoaderBound = append(m.LoaderBound, who+why)
		}
		if i > 0 && s.Shard == "" {
			m.Users, m.Rate, m.SpawnRate = m.Users+s.Users, m.Rate+s.Rate, m.SpawnRate+s.SpawnRate
		}
		m.RunTime = max(m.RunTime, s.RunTime)
		m.Requests, m.Failures = m.Requests+s.Requests, m.Failures+s.Failures
		m.RequestsPerSec += s.RequestsPerSec
		m.ScheduleLagP50, m.ScheduleLagP99 = max(m.ScheduleLagP50, s.ScheduleLagP50), max(m.ScheduleLagP99, s.ScheduleLagP99)
		m.CPUBusyRatio, m.LoaderCPURatio = max(m.CPUBusyRatio, s.CPUBusyRatio), m.LoaderCPURatio+s.LoaderCPURatio
		m.LoaderRunQueue = max(m.LoaderRunQueue, s.LoaderRunQueue)
		m.ThrottledByHost = m.ThrottledByHost || s.ThrottledByHost
	}
	m.Name, m.Invalid = strings.Join(names, ", "), strings.Join(invalid, "; ")
	return m
}
