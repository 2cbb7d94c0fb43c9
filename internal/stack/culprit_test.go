package stack

import (
	"testing"
	"time"
)

func py(function, file string) Frame { return Frame{Function: function, File: file, Kind: Python} }

const (
	stdlib    = "/usr/lib/python3.11/json/encoder.py"
	installed = "/srv/venv/lib/python3.11/site-packages/fastapi/routing.py"
)

func TestCulprit(t *testing.T) {
	for _, c := range []struct {
		name, want string
		frames     []Frame
	}{
		{"no Python", "", []Frame{{Function: "memcpy", File: "libc.so.6", Kind: Native}}},
		{"no frame", "", nil},
		{"its own code", "crunch (api/search.py)", []Frame{py("crunch", "/srv/api/search.py"), py("handler", "/srv/api/main.py"), py("run_endpoint", installed)}},
		{"its own code calls a library", "handler (api/main.py)",
			[]Frame{{Function: "sha256", Kind: Native}, py("encode", stdlib), py("jsonable", installed), py("handler", "/srv/api/main.py"), py("run_endpoint", installed)}},
		{"only libraries", "encode (json/encoder.py)", []Frame{py("encode", stdlib), py("run_endpoint", installed)}},
		{"a relative path", "handler (main.py)", []Frame{py("handler", "main.py")}},
		{"started by python -m", "encode (json/encoder.py)", []Frame{py("encode", stdlib), py("run", installed), py("_run_code", "runpy.py")}},
		{"started by a launcher", "encode (json/encoder.py)", []Frame{py("encode", stdlib), py("run", installed), py("<module>", "/srv/venv/bin/uvicorn")}},
		{"a program in bin", "<module> (bin/serve.py)", []Frame{py("encode", stdlib), py("<module>", "/srv/bin/serve.py")}},
		{"made at run time", "handler (app/main.py)", []Frame{py("f", "<string>"), py("handler", "/app/main.py")}},
		{"no file", "f", []Frame{py("f", "")}},
	} {
		if got := Culprit(c.frames); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCulprits(t *testing.T) {
	const ms = int64(time.Millisecond)
	c := NewCulprits(time.Second)
	take := func(tid uint32, at int64, function string, value int64) {
		c.Sample(Sample{PID: 1, TID: tid, Time: at * ms, Value: value, Frames: []Frame{py(function, "/srv/a.py")}})
	}
	got := map[string]string{}
	ask := func(name string, tid uint32, start, end int64) {
		c.Ask(Stretch{1, tid, start * ms, end * ms}, func(f string) { got[name] = f })
	}
	take(7, 100, "before", 10)
	ask("most", 7, 110, 200)
	take(7, 120, "once", 10)
	take(7, 130, "twice", 10)
	take(7, 140, "twice", 10)
	take(8, 150, "another thread's", 90)
	take(7, 210, "after", 90)
	ask("none", 7, 300, 400)
	ask("by value", 9, 100, 400)
	take(9, 110, "short", 10)
	take(9, 120, "short", 10)
	take(9, 130, "long", 80)
	c.Advance(1199 * ms)
	if len(got) > 0 {
		t.Errorf("answered %v before the samples can be there", got)
	}
	c.Advance(1200 * ms)
	if len(got) != 1 || got["most"] != "twice (srv/a.py)" {
		t.Errorf("answered %v", got)
	}
	c.Flush()
	if f, ok := got["none"]; !ok || f != "" || got["by value"] != "long (srv/a.py)" {
		t.Errorf("answered %v", got)
	}
	sleep := func(at int64, function string) {
		c.Sample(Sample{PID: 1, TID: 5, Time: at * ms, Kind: OffCPU, Frames: []Frame{py(function, "/srv/a.py")}})
	}
	ask("asleep until it ran again", 5, 500, 600)
	sleep(510, "long")
	c.Sample(Sample{PID: 1, TID: 5, Time: 580 * ms, Value: 10 * ms, Frames: []Frame{py("computes", "/srv/a.py")}})
	sleep(585, "short")
	ask("asleep to the end", 5, 700, 800)
	c.Sample(Sample{PID: 1, TID: 5, Time: 710 * ms, Value: 10 * ms, Frames: []Frame{py("computes", "/srv/a.py")}})
	sleep(715, "short")
	sleep(720, "last")
	c.Flush()
	if got["asleep until it ran again"] != "long (srv/a.py)" || got["asleep to the end"] != "last (srv/a.py)" {
		t.Errorf("answered %v", got)
	}
	c.Advance(9000 * ms)
	for i := range int64(maxRecent) {
		take(7, 10_000+i, "newer", 10)
	}
	ask("forgotten", 7, 110, 200)
	ask("wrapped", 7, 10_000, 10_000+maxRecent)
	c.Flush()
	if got["forgotten"] != "" || got["wrapped"] != "newer (srv/a.py)" {
		t.Errorf("answered %v", got)
	}
}
