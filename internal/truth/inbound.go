package truth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// InboundRow is a server in one mode: what its clients sent beside what the agent saw.
type InboundRow struct {
	Server        string   `json:"server"`
	Mode          string   `json:"mode"`
	Sent          int      `json:"sent"`
	Seen          int      `json:"seen"`
	Twice         int      `json:"seen_twice"`
	WrongStatus   int      `json:"wrong_status"`
	WrongEndpoint int      `json:"wrong_endpoint"`
	Incomplete    int      `json:"incomplete"` // of those that were answered
	WrongEnds     int      `json:"wrong_ends"` // begun before the client did or ended well after it had the answer
	SumViolations int      `json:"sum_violations"`
	Seconds       float64  `json:"seconds"`             // by the agent
	Unexplained   float64  `json:"unexplained_seconds"` // without the time in which the client paused
	Error         Spread   `json:"error_seconds"`       // of a request's time, against its client's clock
	Without       string   `json:"without,omitempty"`   // why the server does not have the mode
	Sleeps        bool     `json:"sleeps,omitempty"`    // the application sleeps, so that most of the time is unexplained
	Notes         []string `json:"notes,omitempty"`     // what the agent says is missing, each once

	errors []float64
}

// lateEnd is how long after the client's last read the agent may see the send that it read: the
// hook runs after the transmission, on another CPU than the client's. sharedRead is how much
// earlier an HTTP/2 request may begin: with the frame of another stream that was read together with it.
const lateEnd, sharedRead = 5_000_000, 5_000_000 // ns

// serverCases are the rows of the servers.
func serverCases() []Case {
	var out []Case
	for _, s := range servers {
		out = append(out, Case{s.Name, func(ctx context.Context, dir string) (*Row, error) { return RunInbound(ctx, dir, s, s.modes(), 5) }})
	}
	return out
}

func (s *Server) modes() []mode {
	if s.HTTP2 {
		return slices.Concat(inboundModes, h2Modes)
	}
	return inboundModes
}

// RunInbound runs a server, the agent at full precision, and each mode as often as rounds says, one
// after the other.
func RunInbound(ctx context.Context, dir string, set Server, modes []mode, rounds int) (*Row, error) {
	asked, seen, rec, err := observeInbound(ctx, dir, set, modes, rounds, "")
	if err != nil {
		return nil, err
	}
	row := inboundRow(&set, compareInbound(&set, modes, asked, seen))
	if python, err := venv(inboundVenv); err == nil {
		row.Versions = pythonVersions(python, set.packages()...)
	}
	row.Finish(rec)
	return row, nil
}

// observeInbound does so, and returns what was sent and seen. events is where the agent keeps all that it is told, ""
// for nowhere.
func observeInbound(ctx context.Context, dir string, set Server, modes []mode, rounds int, events string) ([]*Asked, []Seen, *recording.Recording, error) {
	s := NewStand(dir)
	defer s.Close()
	t, err := s.startServer(set)
	if err != nil {
		return nil, nil, nil, err
	}
	c := &caller{address: t.Address, prefix: "in"}
	defer c.hangUp()
	if set.without("open before") == "" {
		if err := c.open(); err != nil {
			return nil, nil, nil, err
		}
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, Requests: lines, Events: events})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.all(ctx, &set, modes, rounds); err != nil {
		return nil, nil, nil, fmt.Errorf("%s, %w: %s", set.Name, err, t.tail())
	}
	rec, err := a.Finish()
	if err != nil {
		return nil, nil, nil, err
	}
	seen, err := readLines[Seen](lines)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	return c.asked, seen, rec, nil
}

// all sends what the modes send.
func (c *caller) all(ctx context.Context, set *Server, modes []mode, rounds int) error {
	for _, m := range modes {
		if set.without(m.name) != "" {
			continue
		}
		c.mode = m.name
		for range rounds {
			if err := errors.Join(ctx.Err(), m.run(c)); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

// inboundRow sums the modes up. The time of those in which the application sleeps is left out of
// the share that is not explained.
func inboundRow(set *Server, modes []*InboundRow) *Row {
	r := &Row{Name: set.Name, Kind: "server", Server: strings.Join(set.Args[:min(2, len(set.Args))], " ") + ", " + set.App + ".py", Load: "every mode, one after the other", Concurrency: 1, Modes: modes}
	var notes []string
	for _, m := range modes {
		r.Sent, r.Seen, r.Twice = r.Sent+m.Sent, r.Seen+m.Seen, r.Twice+m.Twice
		r.Incomplete, r.Sums = r.Incomplete+m.Incomplete, r.Sums+m.SumViolations
		if !m.Sleeps {
			r.Seconds, r.Unexplained = r.Seconds+m.Seconds, r.Unexplained+m.Unexplained
		}
		if why := m.faults(); why != "" {
			notes = append(notes, m.Mode+": "+why)
		}
	}
	r.Note = strings.Join(notes, "; ")
	return r
}

// faults says in words what is not as it should be.
func (m *InboundRow) faults() string {
	var out []string
	for _, f := range []struct {
		n    int
		what string
	}{
		{m.Sent - m.Seen, "not seen"}, {m.Twice, "seen twice"}, {m.WrongStatus, "with a wrong status"}, {m.WrongEndpoint, "with a wrong endpoint"},
		{m.Incomplete, "incomplete"}, {m.WrongEnds, "with wrong ends"}, {m.SumViolations, "whose stages do not sum to the total"},
	} {
		if f.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	if share := ratio(m.Unexplained, m.Seconds); share > 0.03 && !m.Sleeps {
		out = append(out, fmt.Sprintf("%.0f %% unexplained", 100*share))
	}
	return strings.Join(out, ", ")
}

// modes is the table of the servers' modes.
func (r *Results) modes(p *page) {
	var head []string
	by := map[string]map[string]*InboundRow{}
	for _, x := range r.Rows {
		by[x.Name] = map[string]*InboundRow{}
		for _, m := range x.Modes {
			by[x.Name][m.Mode] = m
			if !slices.Contains(head, m.Mode) {
				head = append(head, m.Mode)
			}
		}
	}
	if len(head) == 0 {
		return
	}
	p.line("\nRequests seen / sent in each mode, the faults of a row after its name below. `–`: the server or its application does not have the mode.\n")
	p.table(append([]string{"server"}, head...)...)
	for _, x := range r.Rows {
		if x.Modes == nil {
			continue
		}
		cells := []string{x.Name}
		for _, name := range head {
			cell := "–"
			if m := by[x.Name][name]; m != nil && m.Without == "" {
				cell = fmt.Sprintf("%d / %d", m.Seen, m.Sent)
			}
			cells = append(cells, cell)
		}
		p.row(cells...)
	}
}

func (c *caller) hangUp() {
	for _, w := range c.before {
		w.Close()
	}
}

// compareInbound joins what was asked with what the agent saw, by request id.
func compareInbound(set *Server, modes []mode, asked []*Asked, seen []Seen) []*InboundRow {
	lines := map[string][]*Seen{}
	for i := range seen {
		lines[seen[i].ID] = append(lines[seen[i].ID], &seen[i])
	}
	by := map[string]*InboundRow{}
	var rows []*InboundRow
	for _, m := range modes {
		r := &InboundRow{Server: set.Name, Mode: m.name, Without: set.without(m.name), Sleeps: m.sleeps}
		by[m.name] = r
		rows = append(rows, r)
	}
	for _, a := range asked {
		by[a.Mode].add(a, lines[a.ID], set.Templates)
	}
	for _, r := range rows {
		slices.Sort(r.errors)
		r.Error = Spread{at(r.errors, 0.5), at(r.errors, 0.9), at(r.errors, 0.99), at(r.errors, 1)}
	}
	return rows
}

func (r *InboundRow) add(a *Asked, lines []*Seen, templates bool) {
	r.Sent++
	if len(lines) == 0 {
		return
	}
	r.Seen++
	if len(lines) > 1 {
		r.Twice++
	}
	l := lines[0]
	if a.Status != 0 && a.Status != l.Status {
		r.WrongStatus++
	}
	if l.Endpoint != a.endpoint(templates) {
		r.WrongEndpoint++
	}
	r.note(l.Missing)
	if !l.Complete && a.Status != 0 {
		r.Incomplete++
	}
	start, end := int64(l.Start*1e9), int64((l.Start+l.Seconds)*1e9)
	early := int64(1000) // floats have a µs
	if a.HTTP2 {
		early = sharedRead
	}
	if start < a.Begin-early || a.Status != 0 && end > a.End+lateEnd {
		r.WrongEnds++
	}
	var sum, unexplained float64
	for _, x := range l.Stages {
		sum += x.Seconds
		if x.Stage == "unexplained" {
			unexplained += x.Seconds
		}
	}
	if math.Abs(sum-l.Seconds) > 0.01*l.Seconds {
		r.SumViolations++
	}
	r.Seconds += l.Seconds
	r.Unexplained += max(0, unexplained-float64(a.Paused)/1e9)
	if a.Status != 0 {
		r.errors = append(r.errors, math.Abs(float64(a.End-a.Begin)/1e9-l.Seconds))
	}
}

func (r *InboundRow) note(missing []string) {
	for _, m := range missing {
		if !slices.Contains(r.Notes, m) {
			r.Notes = append(r.Notes, m)
		}
	}
}

var (
	itemPath = regexp.MustCompile(`^/items/\d+$`)
	codePath = regexp.MustCompile(`^/status/\d+$`)
)

func (a *Asked) endpoint(templates bool) string { return named(a.Method, a.Path, templates) }

// named is how the agent should name a request: by the application's own template, or by one
// that is learned from the path.
func named(method, path string, templates bool) string {
	path, _, _ = strings.Cut(path, "?")
	for of, name := range map[*regexp.Regexp]string{itemPath: "/items/{item}", codePath: "/status/{code}"} {
		if of.MatchString(path) {
			path = name
			if !templates {
				path = strings.ReplaceAll(strings.ReplaceAll(name, "{item}", "{id}"), "{code}", "{id}")
			}
		}
	}
	return method + " " + path
}
