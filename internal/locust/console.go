package locust

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// NameWidth is Locust's width of the name column for a terminal; 80 without one (columns 0).
func NameWidth(columns int) int {
	if columns <= 0 {
		return 80
	}
	return max(min(columns-80, 80), 0)
}

const typeWidth = 8

// Table is Locust's table of requests; current rates are of the last ten seconds, else of the
// whole run.
func (s *Stats) Table(nameWidth int, current bool) string {
	w := nameWidth - typeWidth + 4
	w = max(w, 4)
	var sb strings.Builder
	fmt.Fprintf(&sb, "%-*s %-*s %7s %12s |%7s %7s %7s%7s | %7s %11s\n", typeWidth, "Type", w, "Name", "# reqs", "# fails", "Avg", "Min", "Max", "Med", "req/s", "failures/s")
	line := strings.Join([]string{dashes(typeWidth), dashes(w), dashes(7), dashes(13), dashes(7), dashes(7), dashes(7), dashes(7), dashes(8), dashes(11)}, "|") + "\n"
	sb.WriteString(line)
	for _, e := range s.Entries() {
		s.tableRow(&sb, e, w, current)
	}
	sb.WriteString(line)
	s.tableRow(&sb, s.Total, w, current)
	return sb.String()
}

func (s *Stats) tableRow(sb *strings.Builder, e *Entry, w int, current bool) {
	rps, fps := s.perSecond(e.Requests), s.perSecond(e.Failures)
	if current {
		rps, fps = s.currentRate(e.perSecond), s.currentRate(e.failPerSecond)
	}
	method := e.Method
	if method != "" {
		method += " "
	}
	ratio := 0.0
	if e.Requests > 0 {
		ratio = float64(e.Failures) / float64(e.Requests)
	}
	fmt.Fprintf(sb, "%-*s %-*s %7d %12s |%7d %7d %7d%7d | %7.2f %11.2f\n", typeWidth, method, w, e.Name, e.Requests,
		fmt.Sprintf("%d(%.2f%%)", e.Failures, ratio*100), int(e.Average()), int(e.Min), int(e.Max), int(e.Median()), rps, fps)
}

// PercentileTable is Locust's table of response time percentiles.
func (s *Stats) PercentileTable(nameWidth int) string {
	var sb strings.Builder
	sb.WriteString("Response time percentiles (approximated)\n")
	fmt.Fprintf(&sb, "%-*s %-*s", typeWidth, "Type", nameWidth, "Name")
	fmt.Fprintf(&sb, " %8s", percentileNames[0])
	for _, name := range percentileNames[1:] {
		fmt.Fprintf(&sb, " %6s", name)
	}
	fmt.Fprintf(&sb, " %6s\n", "# reqs")
	line := strings.Join([]string{dashes(typeWidth), dashes(nameWidth), dashes(8)}, "|") + strings.Repeat("|"+dashes(6), len(percentiles)) + "\n"
	sb.WriteString(line)
	row := func(e *Entry) {
		fmt.Fprintf(&sb, "%-*s %-*s %8d", typeWidth, e.Method, nameWidth, e.Name, e.Percentile(percentiles[0]))
		for _, p := range percentiles[1:] {
			fmt.Fprintf(&sb, " %6d", e.Percentile(p))
		}
		fmt.Fprintf(&sb, " %6d\n", e.Requests)
	}
	for _, e := range s.Entries() {
		row(e)
	}
	sb.WriteString(line)
	if s.Total.Requests > 0 {
		row(s.Total)
	}
	return sb.String()
}

// ErrorTable is Locust's report of failures, "" without any.
func (s *Stats) ErrorTable(nameWidth int) string {
	if len(s.reports) == 0 {
		return ""
	}
	var sb strings.Builder
	line := dashes(18) + "|" + dashes(80+nameWidth-19) + "\n"
	fmt.Fprintf(&sb, "Error report\n%-18s %-100s\n%s", "# occurrences", "Error", line)
	for _, f := range s.reports {
		fmt.Fprintf(&sb, "%-18d %-100s\n", f.Occurrences, strings.TrimSpace(f.Method+" "+f.Name)+": "+f.short)
	}
	sb.WriteString(line)
	return sb.String()
}

func dashes(n int) string { return strings.Repeat("-", max(n, 0)) }

func sortedKeys(m map[int]int64) []int { return slices.Sorted(maps.Keys(m)) }
