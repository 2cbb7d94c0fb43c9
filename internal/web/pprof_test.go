package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/ragscope/ragscope/internal/export/pprofile"
	"github.com/ragscope/ragscope/internal/stack"
)

// profiled is a source with profiles of its own.
type profiled struct {
	source
	kinds map[string]*stack.Profile
}

func (s profiled) Profile(ctx context.Context, p Profile) ([]byte, error) {
	of := s.kinds[p.Kind]
	if of == nil {
		return s.source.Profile(ctx, p)
	}
	if p.Stacks > 0 {
		of = of.Largest(p.Stacks)
	}
	var out bytes.Buffer
	err := pprofile.Build(of).Write(&out)
	return out.Bytes(), err
}

func stacksOf(kind stack.Kind, n int) *stack.Profile {
	p := stack.NewProfile(kind, 0, fixture().Window.Start)
	for i := range n {
		p.Add("POST /chat", stack.Sample{Value: 1e7, Frames: []stack.Frame{
			{Function: fmt.Sprintf("leaf_%d", i), File: "libblas.so.3", Kind: stack.Native},
			{Function: "embed", File: "/etc/shadow", Kind: stack.Python},
			{Function: "</script><script>alert(1)</script>", File: "/srv/app/api.py", Kind: stack.Python},
		}})
		p.Add("GET /health", stack.Sample{Value: 1e7, Frames: []stack.Frame{{Function: "health", File: "/srv/app/api.py", Kind: stack.Python}}})
	}
	return p
}

func pprofServer(t *testing.T, stacks int) *httptest.Server {
	t.Helper()
	web := httptest.NewServer(New(profiled{source{rec: fixture()}, map[string]*stack.Profile{
		"cpu": stacksOf(stack.CPU, stacks), "off_cpu": stacksOf(stack.OffCPU, stacks), "memory": stack.NewProfile(stack.Alloc, 0, fixture().Window.Start),
	}}))
	t.Cleanup(web.Close)
	return web
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Error(err)
	}
	return r.StatusCode, b.String()
}

func TestPprofPages(t *testing.T) {
	web := pprofServer(t, 5)
	for _, test := range []struct {
		path   string
		status int
		within string
	}{
		{"cpu/", 200, "stackViewer"}, // redirects to the flame graph
		{"cpu/flamegraph", 200, `"FullName":"POST /chat","FileName":"endpoint"`},
		{"off_cpu/flamegraph", 200, "leaf_4"},
		{"cpu/top", 200, "embed"},
		{"cpu/peek?f=embed", 200, "leaf_3"},
		{"cpu/flamegraph?tf=GET", 200, "health"},
		{"cpu/flamegraph?f=(", 400, "parsing"},
		{"cpu/source?f=embed", 404, "agent's rights"},
		{"cpu/disasm?f=embed", 404, "agent's rights"},
		{"cpu/saveconfig?config=x", 404, "agent's rights"},
		{"cpu/../source", 404, ""},
		{"memory/flamegraph", 404, "no sample was taken yet"},
		{"heap/flamegraph", 404, "not measured"},
	} {
		status, body := get(t, web.URL+"/pprof/"+test.path)
		if status != test.status || !strings.Contains(body, test.within) {
			t.Errorf("%s: %d, want %d with %q:\n%.300s", test.path, status, test.status, test.within, body)
		}
		if strings.Contains(body, "<script>alert") {
			t.Errorf("%s: a name became markup", test.path)
		}
	}
	status, body := get(t, web.URL+"/pprof/cpu/graph") // needs graphviz, which says so where it is missing
	if status != 200 && !strings.Contains(body, "graphviz") {
		t.Errorf("graph: %d %s", status, body)
	}
	_, body = get(t, web.URL+"/pprof/cpu/download")
	p, err := profile.ParseData([]byte(body))
	if err != nil || len(p.Sample) != 6 {
		t.Errorf("download: %v, %d samples", err, len(p.Sample))
	}
}

// pprof keeps global state, so requests at once must not meet in it.
func TestPprofPagesAtOnce(t *testing.T) {
	web := pprofServer(t, 5)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			kind, view := []string{"cpu", "off_cpu"}[i%2], []string{"flamegraph", "top", "peek?f=leaf"}[i%3]
			want := []string{"cpu", "off_cpu"}[i%2]
			if status, body := get(t, web.URL+"/pprof/"+kind+"/"+view); status != 200 || !strings.Contains(body, "Type: "+want) {
				t.Errorf("%s/%s: %d", kind, view, status)
			}
		})
	}
	wg.Wait()
}

func TestPprofLeavesNothingBehind(t *testing.T) {
	home, tmp := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("TMPDIR", tmp)
	web := pprofServer(t, 2000)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ask := func(n int) {
		for i := range n {
			get(t, web.URL+"/pprof/cpu/"+[]string{"flamegraph", "top", "peek?f=leaf", "download"}[i%4])
		}
	}
	ask(4) // templates and connections are made once
	before, goroutines := heap(), runtime.NumGoroutine()
	ask(24)
	if after := heap(); after > before+2<<20 {
		t.Errorf("24 pages left %d kB", (after-before)>>10)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines, before %d", n, goroutines)
	}
	for _, dir := range []string{home, tmp} {
		if left, _ := filepath.Glob(dir + "/*"); len(left) != 0 {
			t.Errorf("files are left: %v", left)
		}
	}
}

func TestPprofWithoutAHome(t *testing.T) {
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME"} {
		t.Setenv(name, "") // restores it afterwards
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := get(t, pprofServer(t, 2).URL+"/pprof/cpu/top"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}
