package report

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

func (b *builder) environment() Section {
	s := Section{Number: 2, ID: "environment", Title: "Test environment", Short: "Environment"}
	w := b.whole
	facts := []Fact{
		{"Target", target(w.Target)},
		{"Runtime", or(w.Target.Runtime)},
		{"Processes", count(len(w.Target.PIDs))},
		{"Host", host(w.Host)},
		{"Window", w.Window.Start.UTC().Format("2006-01-02 15:04:05 UTC") + ", " + recording.Seconds(w.Window.Seconds)},
	}
	for _, p := range w.Backends {
		facts = append(facts, Fact{peerName(p.Peer), strings.TrimSpace(p.Version+" at "+p.Address) + suffix(" — ", p.Error)})
	}
	if models := models(w); len(models) > 0 {
		facts = append(facts, Fact{"Language models", strings.Join(models, ", ")})
	}
	s.facts(facts...)
	t := &Table{Caption: "What was sent", Columns: columns("Scenario,Load model,Think time", "Asked for,Sent,Send lag p99,Host CPU,Loader CPU")}
	for _, r := range b.in.Scenarios {
		c := r.Scenario
		if c == nil {
			t.row(plain("unnamed", missing, missing, recording.Seconds(r.Window.Seconds), missing, missing, missing, missing)...)
			continue
		}
		t.row(plain(name(r), loadModel(c), dash(c.ThinkTime), recording.Seconds(c.RunTime), recording.Number(c.Requests),
			recording.Seconds(c.ScheduleLagP99), share(c.CPUBusyRatio), cores(c.LoaderCPURatio))...)
	}
	t.Note = "Send lag: from the intended to the actual send, in the loader. Host CPU: of all cores, during the scenario; above 70 % waits are those of a starved machine."
	s.table(t)
	return s
}

func target(t recording.Target) string {
	if t.Service == "" && t.Address == "" {
		return missing
	}
	return or(t.Service) + " at " + or(t.Address)
}

// count writes a number whose absence is a zero.
func count(n int) string {
	if n == 0 {
		return missing
	}
	return fmt.Sprint(n)
}

func host(h recording.Host) string {
	var parts []string
	add := func(known bool, text string) {
		if known {
			parts = append(parts, text)
		}
	}
	add(h.OS != "", h.OS)
	add(h.Kernel != "", "Linux "+h.Kernel)
	add(h.Arch != "", h.Arch)
	add(h.CPUs > 0, fmt.Sprintf("%d CPUs%s", h.CPUs, suffix(" ", h.CPUModel)))
	add(h.MemoryBytes > 0, size(h.MemoryBytes)+" of memory")
	return or(strings.Join(parts, ", "))
}

func loadModel(c *recording.Scenario) string {
	if c.Rate > 0 {
		return "open, " + recording.Rate(c.Rate)
	}
	return fmt.Sprintf("closed, %d users", c.Users)
}

func models(r *recording.Recording) (out []string) {
	seen := map[string]bool{}
	for i := range r.Endpoints {
		if l := r.Endpoints[i].LLM; l != nil {
			for _, m := range l.Models {
				if !seen[m] {
					seen[m] = true
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// or writes a text, or that it was not measured.
func or(s string) string {
	if s == "" {
		return missing
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func suffix(sep, s string) string {
	if s == "" {
		return ""
	}
	return sep + s
}

// share and cores write figures whose absence is a zero.
func share(v float64) string {
	if v == 0 {
		return missing
	}
	return recording.Share(v)
}

func cores(v float64) string {
	if v == 0 {
		return missing
	}
	return fmt.Sprintf("%.2f cores", v)
}
