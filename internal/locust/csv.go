package locust

import (
	"fmt"
	"strconv"
	"time"
)

var percentiles = []float64{0.50, 0.66, 0.75, 0.80, 0.90, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0}

var percentileNames = []string{"50%", "66%", "75%", "80%", "90%", "95%", "98%", "99%", "99.9%", "99.99%", "100%"}

// CSV is PREFIX_stats.csv.
func (s *Stats) CSV() []byte {
	out := csvRow(nil, append([]string{
		"Type", "Name", "Request Count", "Failure Count", "Median Response Time", "Average Response Time",
		"Min Response Time", "Max Response Time", "Average Content Size", "Requests/s", "Failures/s",
	}, percentileNames...)...)
	for _, e := range s.withTotal() {
		row := []string{e.Method, e.Name, count(e.Requests), count(e.Failures)}
		row = append(row, e.figures()...)
		row = append(row, pyFloat(s.perSecond(e.Requests)), pyFloat(s.perSecond(e.Failures)))
		out = csvRow(out, append(row, e.percentileCells(func(p float64) int { return e.Percentile(p) })...)...)
	}
	return out
}

// figures are the columns that stats.csv and stats_history.csv share.
func (e *Entry) figures() []string {
	length := "0"
	if e.Requests > 0 {
		length = pyFloat(e.averageLength())
	}
	return []string{e.medianText(), pyFloat(e.Average()), orZero(e.Min), orZero(e.Max), length}
}

func (e *Entry) percentileCells(of func(float64) int) []string {
	cells := make([]string, len(percentiles))
	for i, p := range percentiles {
		if cells[i] = "N/A"; e.Requests > 0 {
			cells[i] = strconv.Itoa(of(p))
		}
	}
	return cells
}

var historyHeader = csvRow(nil, append(append([]string{"Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s"}, percentileNames...),
	"Total Request Count", "Total Failure Count", "Total Median Response Time", "Total Average Response Time",
	"Total Min Response Time", "Total Max Response Time", "Total Average Content Size")...)

// historyRows are the rows that PREFIX_stats_history.csv gets for one second: the total, or
// every task before it. With full the percentiles are of about the last ten seconds, without
// it of all requests so far, as in Locust.
func (s *Stats) historyRows(now time.Time, full bool) []byte {
	entries := []*Entry{s.Total}
	if full {
		entries = s.withTotal()
	}
	var out []byte
	for _, e := range entries {
		row := []string{
			count(now.Unix()), strconv.Itoa(s.Users), e.Method, e.Name,
			fmt.Sprintf("%f", s.currentRate(e.perSecond)), fmt.Sprintf("%f", s.currentRate(e.failPerSecond)),
		}
		row = append(row, e.percentileCells(func(p float64) int {
			if full {
				ms, _ := e.current(now.Unix(), p)
				return ms
			}
			return e.Percentile(p)
		})...)
		row = append(row, count(e.Requests), count(e.Failures))
		out = csvRow(out, append(row, e.figures()...)...)
	}
	return out
}

// FailuresCSV is PREFIX_failures.csv.
func (s *Stats) FailuresCSV() []byte {
	out := csvRow(nil, "Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen")
	for _, f := range s.Failures() {
		out = csvRow(out, f.Method, f.Name, f.Error, count(f.Occurrences), timestamp(f.First), timestamp(f.Last))
	}
	return out
}

// ExceptionsCSV is PREFIX_exceptions.csv: there are no user scripts here that could raise any.
func ExceptionsCSV() []byte { return csvRow(nil, "Count", "Message", "Traceback", "Nodes") }

func count(n int64) string { return strconv.FormatInt(n, 10) }

// timestamp is an instant as the failures have it; "" for 0, none.
func timestamp(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02T15:04:05Z")
}
