package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/diagnose"
	"github.com/ragscope/ragscope/internal/recording"
)

const (
	maxSleepers = 8 // endpoints of which the report tells where threads slept for them
	maxPlaces   = 3 // of each
)

// sleeps adds where threads slept while they worked for requests.
func (b *builder) sleeps(s *Section) {
	if t := sleepTable(b.whole); t != nil {
		s.table(t)
		return
	}
	s.text("Where threads slept for requests: " + b.noSleeps() + ".")
}

// noSleeps is why there is no table.
func (b *builder) noSleeps() string {
	if why := b.whole.WhyNot(diagnose.OffCPUProfile); why != "" {
		return "not measured (" + why + ")"
	}
	if b.whole.Sleeps == nil {
		return "not measured, because the recordings hold none"
	}
	return "no sample was taken of any"
}

func sleepTable(r *recording.Recording) *Table {
	t := &Table{Caption: "Where threads slept for requests, until they ran again", Columns: columns("Endpoint,Function,Slept in,Thread", "Samples,In all,A request"),
		Note: "By the off-CPU profile, of all requests. Function: the application's innermost one on the stack. Slept in: as the thread's system call tells. Main: the process's first thread, on which the event loop runs as a rule. The whole stacks are in off_cpu.svg."}
	list := slices.DeleteFunc(busiest(r), func(e *recording.Endpoint) bool { return len(e.Sleeps) == 0 })
	slices.SortStableFunc(list, func(a, b *recording.Endpoint) int { return cmp.Compare(asleep(b.Sleeps), asleep(a.Sleeps)) })
	for _, e := range list[:min(maxSleepers, len(list))] {
		for i, p := range shownPlaces(e.Sleeps) {
			thread, name := "other", e.Endpoint
			if p.Main {
				thread = "main"
			}
			if p.Function == recording.Others {
				thread = "–"
			}
			if i > 0 {
				name = ""
			}
			t.row(plain(name, placeName(&p), cmp.Or(p.Doing(), "–"), thread, recording.Number(p.Samples), recording.Seconds(p.Seconds), recording.Seconds(ratio(p.Seconds, float64(e.Requests))))...)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	if n := len(list) - maxSleepers; n > 0 {
		t.Note += fmt.Sprintf(" %d more endpoints, for which threads slept less, are in recording.json.", n)
	}
	return t
}

func placeName(p *recording.SleepPlace) string {
	if p.Function == recording.Others {
		return "elsewhere"
	}
	return cmp.Or(p.Function, "no Python on the stack")
}

// shownPlaces are the first of them and the rest as one.
func shownPlaces(places []recording.SleepPlace) []recording.SleepPlace {
	return recording.AddSleepPlaces(nil, places, maxPlaces)
}

func asleep(places []recording.SleepPlace) (seconds float64) {
	for _, p := range places {
		seconds += p.Seconds
	}
	return seconds
}
