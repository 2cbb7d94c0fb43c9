package truth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// Row is one line of the table of truth: one server or client under one load, and how far what the
// agent saw is from what was sent and known. What was not measured is nil or empty.
type Row struct {
	Name        string            `json:"name"`
	Kind        string            `json:"kind"`   // "server" or "client"
	Server      string            `json:"server"` // the program and its settings
	Client      string            `json:"client"` // library of the outgoing calls, "" none
	Peer        string            `json:"peer"`   // what answered them; says so where it is a stand-in
	Load        string            `json:"load"`   // in words
	Concurrency int               `json:"concurrency"`
	Precision   string            `json:"precision"` // at the end of the run
	Date        string            `json:"date"`
	Kernel      string            `json:"kernel"`
	Busy        string            `json:"load_average,omitempty"` // of the machine, 1, 5 and 15 min, at the end
	Versions    map[string]string `json:"versions"`

	Sent        int               `json:"sent"`
	Failed      int               `json:"failed"` // no answer, or not the expected status
	Seen        int               `json:"seen"`
	Twice       int               `json:"seen_twice"`
	Incomplete  int               `json:"incomplete"`
	Calls       *CallFigures      `json:"calls,omitempty"`
	Wait        *WaitFigures      `json:"wait,omitempty"`
	FirstToken  *Spread           `json:"first_token_error_seconds,omitempty"`
	Sums        int               `json:"sum_violations"`
	Seconds     float64           `json:"seconds"` // of the requests that were seen
	Unexplained float64           `json:"unexplained_seconds"`
	Losses      map[string]uint64 `json:"losses"`
	Modes       []*InboundRow     `json:"modes,omitempty"`
	Note        string            `json:"note,omitempty"` // why a goal is missed, or a figure is absent
}

// CallFigures are about the outgoing calls of a row.
type CallFigures struct {
	Made    int            `json:"made"`
	Linked  int            `json:"linked"` // to the request that made them
	Wrong   int            `json:"wrong"`  // to another request
	ByBasis map[string]int `json:"by_basis"`

	Late        int `json:"late"`         // made after the answer, not among Made
	LateCounted int `json:"late_counted"` // of them, counted for their endpoint
	Bare        int `json:"bare"`         // listed calls that are none of those: a part of another, as a rule
}

// WaitFigures are about the waits for a connection of a pool, per request.
type WaitFigures struct {
	Requests int    `json:"requests"`      // whose truth is known
	Error    Spread `json:"error_seconds"` // absolute
	False    int    `json:"false_waits"`   // above 2 ms where truth is below 0.3 ms
	Unsure   int    `json:"false_unsure"`  // of the false, those of which no more than 2 ms are said to be sure
	Missed   int    `json:"missed_waits"`  // truth above 3 ms, nothing seen
	Waited   int    `json:"true_waits"`    // truth above 3 ms

	Seen   float64 `json:"seen_seconds"`        // waited, as the agent says
	Doubts float64 `json:"seen_unsure_seconds"` // of them, those marked as unsure
}

// sees takes in the seconds that a request waited as the agent says, some of them unsure.
func (w *WaitFigures) sees(found, unsure float64) {
	w.Requests++
	w.Seen += found
	w.Doubts += unsure
}

// falseWait takes in a wait that there was not, of so many seconds, some of them unsure.
func (w *WaitFigures) falseWait(found, unsure float64) {
	w.False++
	if found-unsure <= falseAbove {
		w.Unsure++
	}
}

// falses is how many waits are claimed that there were not, and how many more are marked as unsure.
func (w *WaitFigures) falses() string {
	if w.Unsure == 0 {
		return fmt.Sprint(w.False)
	}
	return fmt.Sprintf("%d, unsure %d", w.False-w.Unsure, w.Unsure)
}

// A Case is a row that can be measured.
type Case struct {
	Name string
	Run  func(ctx context.Context, dir string) (*Row, error)
}

// Cases are all rows, in the order of the table.
func Cases() []Case {
	return slices.Concat(serverCases(), restartCases(), clientCases(), secureCases())
}

// Requests takes in how the requests that were sent were seen, and returns the line of each by its id.
func (r *Row) Requests(sent []Sent, seen []Seen) map[string]*Seen {
	lines := map[string]*Seen{}
	for i := range seen {
		switch id := seen[i].ID; {
		case id == "":
		case lines[id] != nil:
			r.Twice++
		default:
			lines[id] = &seen[i]
		}
	}
	r.Sent = len(sent)
	for _, s := range sent {
		if s.Err != nil || s.Status != 200 {
			r.Failed++
		}
		l := lines[s.ID]
		if l == nil {
			continue
		}
		r.Seen++
		if !l.Complete {
			r.Incomplete++
		}
		stages, unexplained := l.sums()
		r.Seconds += l.Seconds
		r.Unexplained += unexplained
		if stages-l.Seconds > 1e-6 || l.Seconds-stages > 1e-6 {
			r.Sums++
		}
	}
	return lines
}

// Finish puts in what is the same for every row.
func (r *Row) Finish(rec *recording.Recording) {
	r.Date, r.Kernel, r.Busy = time.Now().UTC().Format("2006-01-02 15:04 UTC"), kernelRelease(), loadAverage()
	r.Precision = rec.Overhead.PrecisionMode
	r.Losses = map[string]uint64{}
	for _, l := range rec.Losses {
		if l.Count > 0 {
			r.Losses[l.Source+": "+l.Reason] += l.Count
		}
	}
}

// addRow takes a row in, in place of an older one.
func (r *Results) addRow(row *Row) {
	r.Rows = renew(r.Rows, row, func(o *Row) bool { return o.Name == row.Name })
}

// renew puts x in the place of the one that is the same, else at the end.
func renew[T any](list []T, x T, same func(T) bool) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		list[i] = x
		return list
	}
	return append(list, x)
}

func (r *Results) rows(p *page) {
	if len(r.Rows) == 0 {
		return
	}
	p.head("Truth: every server, every client")
	p.line("A call is linked or wrong by the mark that it carries across the wire, never by what the agent says. Wait: of the pool wait per")
	p.line("request, absolute, in ms; false and missed as above; unsure: false, but marked as unsure. `–`: has none, or not measured.\n")
	p.table("row", "server", "client, peer", "load", "seen / sent", "twice", "calls linked / made", "wrong", "by basis", "wait p50", "wait p99", "false", "missed / waits", "first token p50, ms", "sums off", "unexplained, %", "losses")
	for _, x := range r.Rows {
		p.row(x.cells()...)
	}
	r.modes(p)
	p.line("")
	for _, x := range r.Rows {
		p.line("- %s: %s, load average %s, precision %s, Linux %s; %s.%s", x.Name, x.Date, cmp.Or(x.Busy, "not noted"), x.Precision, x.Kernel, x.versions(), x.note())
	}
}

func (r *Row) cells() []string {
	calls := []string{"–", "–", "–"}
	if c := r.Calls; c != nil {
		var by []string
		for _, basis := range slices.Sorted(maps.Keys(c.ByBasis)) {
			by = append(by, fmt.Sprintf("%s %d", cmp.Or(basis, "none"), c.ByBasis[basis]))
		}
		calls = []string{fmt.Sprintf("%d / %d", c.Linked, c.Made), fmt.Sprint(c.Wrong), strings.Join(by, ", ")}
	}
	wait := []string{"–", "–", "–", "–"}
	if w := r.Wait; w != nil {
		wait = []string{ms(w.Error.Median), ms(w.Error.P99), w.falses(), fmt.Sprintf("%d / %d", w.Missed, w.Waited)}
	}
	token := "–"
	if r.FirstToken != nil {
		token = ms(r.FirstToken.Median)
	}
	out := []string{r.Name, r.Server, strings.Trim(r.Client+", "+r.Peer, ", "), r.Load, fmt.Sprintf("%d / %d", r.Seen, r.Sent), fmt.Sprint(r.Twice)}
	out = slices.Concat(out, calls, wait)
	return append(out, token, fmt.Sprint(r.Sums), fmt.Sprintf("%.2f", 100*ratio(r.Unexplained, r.Seconds)), strings.TrimLeft(lossText(r.Losses), ",; "))
}

func (r *Row) versions() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		out = append(out, name+" "+r.Versions[name])
	}
	return strings.Join(out, ", ")
}

func (r *Row) note() string {
	if r.Note == "" {
		return ""
	}
	return " " + r.Note + "."
}
