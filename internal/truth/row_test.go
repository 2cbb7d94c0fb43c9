package truth

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestRowCountsRequests(t *testing.T) {
	seen, err := decodeLines[Seen](strings.NewReader(`
{"id":"a","seconds":0.5,"complete":true,"stages":[{"stage":"on_cpu","seconds":0.4},{"stage":"unexplained","seconds":0.1}]}
{"id":"b","seconds":0.5,"complete":false,"stages":[{"stage":"on_cpu","seconds":0.4}]}
{"id":"b","seconds":0.5,"complete":true}
{"id":"","seconds":9}
{"id":"other","seconds":9}`[1:]), "lines")
	if err != nil {
		t.Fatal(err)
	}
	r := &Row{Name: "here", Calls: &CallFigures{Made: 3, Linked: 2, Wrong: 1, ByBasis: map[string]int{"": 1, "context": 2}}}
	lines := r.Requests([]Sent{{ID: "a", Status: 200}, {ID: "b", Status: 500}, {ID: "c", Err: errors.New("refused")}}, seen)
	if r.Sent != 3 || r.Failed != 2 || r.Seen != 2 || r.Twice != 1 || r.Incomplete != 1 || r.Sums != 1 || r.Seconds != 1 || r.Unexplained != 0.1 {
		t.Errorf("%+v", r)
	}
	if len(lines) != 3 || lines["b"].Complete {
		t.Errorf("lines: %v", lines)
	}
	all := &Results{Rows: []*Row{{Name: "here"}, {Name: "there"}}}
	all.addRow(r)
	var page bytes.Buffer
	if err := all.WriteMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| here |  |  |  | 2 / 3 | 1 | 2 / 3 | 1 | none 1, context 2 | – |", "| there |"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, &page)
		}
	}
}
