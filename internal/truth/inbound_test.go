package truth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestInboundShort holds the agent to every request of an event loop (HTTP/1 and h2c) and of a server of threads, in every mode; the
// other servers are rows of make bench.
func TestInboundShort(t *testing.T) {
	for _, name := range []string{"hypercorn", "gunicorn, gthread"} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(servers, func(s Server) bool { return s.Name == name })
			row, err := RunInbound(context.Background(), t.TempDir(), servers[i], servers[i].modes(), 1)
			if errors.Is(err, ErrMissing) {
				t.Skipf("SKIPPED, THE AGENT IS NOT HELD TO THE TRUTH: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range row.Modes {
				t.Logf("%-22s seen %d/%d, unexplained %.1f %%, error p50 %.2f max %.2f ms %s %s %q", m.Mode, m.Seen, m.Sent,
					100*ratio(m.Unexplained, m.Seconds), m.Error.Median*1e3, m.Error.Max*1e3, m.Without, m.faults(), m.Notes)
				if m.Without != "" {
					continue
				}
				if m.Sent == 0 || m.Seen != m.Sent || m.Twice+m.WrongStatus+m.WrongEndpoint+m.Incomplete+m.SumViolations > 0 {
					t.Errorf("%s: of %d requests: %s", m.Mode, m.Sent, m.faults())
				}
			}
			if t.Log(row.Losses); len(row.Modes) == 0 {
				t.Error("nothing was sent")
			}
		})
	}
}

func TestCompareInbound(t *testing.T) {
	asked := []*Asked{
		{ID: "a", Mode: "m", Method: "GET", Path: "/items/7?x=1", Status: 200, Begin: 1e9, End: 2e9},
		{ID: "b", Mode: "m", Method: "GET", Path: "/health", Status: 404, Begin: 1e9, End: 2e9, Paused: 2e8},
		{ID: "c", Mode: "m", Method: "GET", Path: "/health", Begin: 1e9}, // its client left
		{ID: "d", Mode: "m", Method: "GET", Path: "/health", Status: 200},
	}
	seen, err := decodeLines[Seen](strings.NewReader(`
{"id":"a","endpoint":"GET /items/{item}","status":200,"start":1.1,"seconds":0.5,"complete":true,"stages":[{"stage":"on_cpu","seconds":0.5}]}
{"id":"b","endpoint":"GET /b","status":200,"start":0.9,"seconds":0.5,"stages":[{"stage":"on_cpu","seconds":0.1},{"stage":"unexplained","seconds":0.3}],"missing":["why"]}
{"id":"b","endpoint":"GET /b"}
{"id":"c","endpoint":"GET /health","start":1,"seconds":9,"stages":[{"stage":"on_cpu","seconds":9}]}`[1:]), "lines")
	if err != nil {
		t.Fatal(err)
	}
	set := &Server{Templates: true, Lacks: map[string]string{"n": "because"}}
	rows := compareInbound(set, []mode{{name: "m"}, {name: "n"}}, asked, seen)
	m, n := rows[0], rows[1]
	if m.Sent != 4 || m.Seen != 3 || m.Twice != 1 || m.WrongStatus != 1 || m.WrongEndpoint != 1 || m.Incomplete != 1 || m.WrongEnds != 1 || m.SumViolations != 1 {
		t.Errorf("%+v", m)
	}
	if m.Unexplained < 0.0999 || m.Unexplained > 0.1001 || n.Without != "because" || len(m.Notes) != 1 {
		t.Errorf("%+v, %+v", m, n)
	}
	if want := "m: 1 not seen, 1 seen twice, 1 with a wrong status, 1 with a wrong endpoint, 1 incomplete, 1 with wrong ends, 1 whose stages do not sum to the total"; inboundRow(set, rows).Note != want {
		t.Errorf("%q", inboundRow(set, rows).Note)
	}
}
