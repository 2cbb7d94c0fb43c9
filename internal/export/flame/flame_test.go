package flame

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/stack"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func python(function, file string) stack.Frame {
	return stack.Frame{Function: function, File: file, Start: 7, Kind: stack.Python}
}

// sampled is a small service: two endpoints, Python, native and kernel code.
func sampled() *stack.Profile {
	p := stack.NewProfile(stack.CPU, 10*time.Millisecond, start)
	p.End = start.Add(10 * time.Second)
	run := python("Server.run", "/srv/venv/lib/python3.11/site-packages/uvicorn/server.py")
	search, embed := python("search", "/srv/app/api.py"), python("embed", "/srv/app/embed.py")
	add := func(endpoint string, times int, frames ...stack.Frame) {
		for range times {
			p.Add(endpoint, stack.Sample{Value: 10e6, Frames: frames})
		}
	}
	add("POST /search", 30, stack.Frame{Function: "sgemm_kernel", File: "libblas.so.3", Kind: stack.Native}, embed, search, run)
	add("POST /search", 8, stack.Frame{Function: "libcrypto.so.3+0x12af", File: "libcrypto.so.3", Kind: stack.Native}, search, run)
	add("POST /search", 4, stack.Frame{Function: "libcrypto.so.3+0x77", File: "libcrypto.so.3", Kind: stack.Native}, search, run)
	add("GET /health", 5, stack.Frame{Function: "tcp_sendmsg", File: "vmlinux", Kind: stack.Kernel}, run)
	add(stack.OutsideRequests, 2, run)
	return p
}

func draw(t *testing.T, p *stack.Profile, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, p, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed reads all of the XML.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "service.svg")
	got := draw(t, sampled(), Options{Title: "CPU of the demo service"})
	wellFormed(t, got)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the drawing differs from %s; look at both, then -update", path)
	}
}

func TestHostileNamesStayText(t *testing.T) {
	hostile := []string{`<script>alert(1)</script>`, `]]><svg onload="x">`, `a" onclick="y`, "'&amp;\x00\x1b\xff", "<module>"}
	p := stack.NewProfile(stack.CPU, time.Millisecond, start)
	for _, name := range hostile {
		p.Add("GET /"+name, stack.Sample{Value: 1, Frames: []stack.Frame{{Function: name, File: name, Kind: stack.Python}}})
	}
	got := draw(t, p, Options{Title: hostile[0], Subtitle: hostile[1]})
	wellFormed(t, got)
	if n := strings.Count(got, "<script>"); n != 1 {
		t.Errorf("%d scripts, want our own only", n)
	}
	d := xml.NewDecoder(strings.NewReader(got))
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("element %s has a handler %s", e.Name.Local, a.Name.Local)
				}
			}
		}
	}
}

func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	got := draw(t, sampled(), Options{})
	for _, word := range []string{"href", "url(", "@import", "src="} {
		if strings.Contains(got, word) {
			t.Errorf("the drawing contains %q", word)
		}
	}
}

func TestEmptySaysWhy(t *testing.T) {
	got := draw(t, stack.NewProfile(stack.CPU, time.Millisecond, start), Options{Empty: "not measured: no CAP_PERFMON"})
	wellFormed(t, got)
	for _, want := range []string{"no samples", "not measured: no CAP_PERFMON"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestTree(t *testing.T) {
	root := grow(sampled())
	if root.samples != 49 || root.value != 490e6 {
		t.Errorf("root has %d samples, value %d", root.samples, root.value)
	}
	var names []string
	for _, c := range root.children {
		names = append(names, c.name)
	}
	if got := strings.Join(names, ","); got != "POST /search,GET /health,(outside requests)" {
		t.Errorf("endpoints %s, want the largest first", got)
	}
	search := root.children[0].children[0].children[0]
	if len(search.children) != 2 || search.children[1].name != "libcrypto.so.3 (no symbols)" || search.children[1].samples != 12 {
		t.Errorf("below search: %+v; want embed, and both addresses of libcrypto as one", search.children)
	}
}

// Lines are told apart where the profile does, and functions of one name by where they begin.
func TestLines(t *testing.T) {
	p := stack.NewProfile(stack.CPU, 0, start)
	for _, f := range []stack.Frame{
		{Function: "call", File: "a.py", Start: 10, Kind: stack.Python}, {Function: "call", File: "a.py", Start: 10, Kind: stack.Python},
		{Function: "call", File: "a.py", Start: 90, Kind: stack.Python},
		{Function: "main", File: "a.py", Start: 1, Line: 5, Kind: stack.Python}, {Function: "main", File: "a.py", Start: 1, Line: 6, Kind: stack.Python},
	} {
		p.Add("GET /", stack.Sample{Value: 1, Frames: []stack.Frame{f}})
	}
	var got []string
	for _, n := range grow(p).children[0].children {
		got = append(got, fmt.Sprintf("%s at %s: %d", n.label(), n.place(), n.samples))
	}
	if want := "call at a.py:10: 2, call at a.py:90: 1, main:5 at a.py:5: 1, main:6 at a.py:6: 1"; strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestLayout(t *testing.T) {
	p := sampled()
	for range 20_000 {
		p.Add("POST /search", stack.Sample{Value: 10e6, Frames: []stack.Frame{python("busy", "/srv/app/api.py")}})
	}
	l := layOut(grow(p))
	if l.hidden == 0 {
		t.Error("nothing is hidden, although GET /health has 0.02 % and (outside requests) 0.01 %")
	}
	drawn := len(l.boxes)
	if whole := grow(p).count() - 1; drawn+l.hidden != whole {
		t.Errorf("%d drawn + %d hidden, want %d", drawn, l.hidden, whole)
	}
	for _, b := range l.boxes {
		if b.x < 0 || b.x+b.width > 1+1e-9 || b.row < 0 || b.row >= l.rows {
			t.Errorf("%s lies outside: x %g, width %g, row %d of %d", b.name, b.x, b.width, b.row, l.rows)
		}
	}
}

func TestFit(t *testing.T) {
	for _, test := range []struct {
		name   string
		pixels float64
		want   string
	}{
		{"search", 200, "search"},
		{"search", 40, "sear…"},
		{"search", 20, ""},
		{"süßes", 33, "süß…"},
		{"", 100, ""},
	} {
		if got := fit(test.name, test.pixels); got != test.want {
			t.Errorf("fit(%q, %g) = %q, want %q", test.name, test.pixels, got, test.want)
		}
	}
}

func TestQuantity(t *testing.T) {
	for _, test := range []struct {
		kind  stack.Kind
		value int64
		want  string
	}{
		{stack.CPU, 0, "0 ns"}, {stack.CPU, 999, "999 ns"}, {stack.CPU, 1500, "1.50 µs"},
		{stack.CPU, 4_120_000_000, "4.12 s"}, {stack.OffCPU, 73_200_000, "73.2 ms"},
		{stack.CPU, 600e9, "600 s"}, {stack.Alloc, 333447168, "318 MiB"}, {stack.Alloc, 12, "12 B"},
	} {
		if got := quantity(test.kind, test.value); got != test.want {
			t.Errorf("quantity(%v, %d) = %q, want %q", test.kind, test.value, got, test.want)
		}
	}
}

func TestPythonPackage(t *testing.T) {
	for file, want := range map[string]string{
		"/srv/venv/lib/python3.11/site-packages/fastapi/routing.py": "fastapi",
		"/usr/lib/python3/dist-packages/yaml/loader.py":             "yaml",
		"/usr/lib/python3.11/json/encoder.py":                       "json",
		"/srv/app/api.py":                                           "/srv/app",
		"":                                                          ".",
	} {
		if got := pythonPackage(file); got != want {
			t.Errorf("pythonPackage(%q) = %q, want %q", file, got, want)
		}
	}
}

func TestWriteFileLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "cpu.svg"), sampled(), Options{}); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "cpu.svg" {
		t.Errorf("left %v", left)
	}
}
