package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// OffCPUProfile is what stands in not_measured where there is none.
const OffCPUProfile = "off-CPU flame graph"

// slept is a place where threads slept for one endpoint.
type slept struct {
	endpoint string
	recording.SleepPlace
}

// sleptFor are the places, longest first, of the endpoints that waited for a cause: for the GIL, or in all else.
func sleptFor(w *wait, rec *recording.Recording, gil bool) (out []slept) {
	for i := range rec.Endpoints {
		e := &rec.Endpoints[i]
		if w.by[e.Endpoint] == 0 {
			continue
		}
		for _, p := range e.Sleeps {
			if p.Function != recording.Others && p.ForGIL() == gil {
				out = append(out, slept{e.Endpoint, p})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b slept) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return out
}

// sleepFacts names the functions that slept, or says why that is not known. Unlike the stages, the profile is of all
// requests, followed or not.
func sleepFacts(places []slept, rec *recording.Recording) (out []string) {
	for _, p := range places[:min(maxNamed, len(places))] {
		out = append(out, fmt.Sprintf("%s slept %s in %s, %s: it %s.", p.endpoint, recording.Seconds(p.Seconds), p.name(), p.thread(), p.Doing()))
	}
	if len(out) > 0 {
		return out
	}
	if why := rec.WhyNot(OffCPUProfile); why != "" {
		return []string{"In which functions is not measured: " + why + "."}
	}
	return nil
}

func (s *slept) name() string { return cmp.Or(s.Function, "code without Python on its stack") }

func (s *slept) thread() string {
	if s.Main {
		return "on the process's main thread"
	}
	return "in another thread"
}

// inThreads: for more than half of the time it was not the main thread that slept.
func inThreads(places []slept) bool {
	var others, all float64
	for _, p := range places {
		all += p.Seconds
		if !p.Main {
			others += p.Seconds
		}
	}
	return others > all/2
}
