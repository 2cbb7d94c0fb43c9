package web

import (
	"maps"
	"slices"
	"strings"
)

// profileLinks leads to the profiles of a kind.
type profileLinks struct{ Kind, Title, Why, Note string }

// pushes is what became of the profiles that were sent to Pyroscope.
type pushes struct{ Sent, Queued, Dropped, Reasons, Trouble, Tone string }

func profilesOf(states []ProfileState) (out []profileLinks) {
	titles := map[string]string{"cpu": "CPU time", "off_cpu": "Time off the CPU", "memory": "Allocated memory"}
	for _, s := range states {
		title := titles[s.Kind]
		if title == "" {
			title = s.Kind
		}
		out = append(out, profileLinks{s.Kind, title, s.Why, s.Note})
	}
	return out
}

func pushesOf(p *Pushes) *pushes {
	if p == nil {
		return nil
	}
	out := &pushes{Sent: count(int64(p.Sent)), Queued: count(int64(p.Queued)), Trouble: p.Trouble}
	var dropped uint64
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(p.Dropped)) {
		if n := p.Dropped[reason]; n > 0 {
			dropped += n
			reasons = append(reasons, count(int64(n))+" "+strings.ReplaceAll(reason, "_", " "))
		}
	}
	out.Dropped, out.Reasons = count(int64(dropped)), strings.Join(reasons, ", ")
	if dropped > 0 || p.Trouble != "" {
		out.Tone = "warn"
	}
	return out
}
