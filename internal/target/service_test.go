package target

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServiceName(t *testing.T) {
	for _, c := range []struct {
		cmdline, cwd, exe, want string
	}{
		{"/venv/bin/python /venv/bin/uvicorn app:app --port 8000", "/srv/demo", "/usr/bin/python3.11", "demo"},
		{"/venv/bin/python /venv/bin/uvicorn shop.main:app", "/app", "/usr/bin/python3.11", "shop"},
		{"python -m uvicorn app:app --host 127.0.0.1", "/work/deploy/demo", "/usr/bin/python3.11", "demo"},
		{"python -m uvicorn main:create_app() --factory", "/srv/search", "/usr/bin/python3.11", "search"},
		{"python -m uvicorn app:app --app-dir deploy/demo", "/work/main", "/usr/bin/python3.11", "demo"},
		{"python -m uvicorn main:app", "/app", "/usr/bin/python3.11", "main"},
		{"gunicorn:\x00master\x00[shop.main:app]", "/app", "/usr/bin/python3.11", "shop"},
		{"python3 -X dev /srv/search/server.py --listen localhost:8000", "/root", "/usr/bin/python3.11", "search"},
		{"python3 server.py", "/app", "/usr/bin/python3.11", "server"},
		{"/usr/local/bin/api-server --url http://x:1", "/", "/usr/local/bin/api-server", "api-server"},
		{"python -c pass", "/tmp", "/usr/bin/python3.11", "python3.11"},
		{"", "", "", "unknown"},
	} {
		var argv []string
		if c.cmdline != "" {
			argv = strings.Split(c.cmdline, " ")
			for i := range argv {
				argv[i] = strings.ReplaceAll(argv[i], "\x00", " ")
			}
		}
		if got := serviceName(argv, c.cwd, c.exe); got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.cmdline, c.cwd, got, c.want)
		}
	}
}

func TestRuns(t *testing.T) {
	for _, c := range []struct {
		cmdline string
		want    bool
	}{
		{"uvicorn app:app", true},
		{"/venv/bin/python3 /venv/bin/uvicorn app:app", true},
		{"python -X dev -m uvicorn app:app", true},
		{"vim uvicorn", false},
		{"python other.py uvicorn", false},
		{"", false},
	} {
		if got := runs(strings.Fields(c.cmdline), "uvicorn"); got != c.want {
			t.Errorf("%q: %v", c.cmdline, got)
		}
	}
}

func TestDistribution(t *testing.T) {
	for entry, want := range map[string]string{
		"qdrant_client-1.15.0.dist-info":     "qdrant-client 1.15.0",
		"PyYAML-6.0.dist-info":               "pyyaml 6.0",
		"zope.interface-7.0-py3.11.egg-info": "zope-interface 7.0",
		"uvicorn":                            " ",
		"x.dist-info":                        " ",
		"-1.dist-info":                       " ",
	} {
		name, version, _ := distribution(entry)
		if got := name + " " + version; got != want {
			t.Errorf("%s: %q, want %q", entry, got, want)
		}
	}
}

func TestResolveInStaysInside(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(root+"/opt/venv/lib", 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"/venv": "/opt/venv", "/up": "../../../etc", "/loop": "loop", "/opt/rel": "venv/lib",
	} {
		if err := os.Symlink(to, root+link); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/venv/lib": "/opt/venv/lib", "/up/passwd": "/etc/passwd", "/opt/rel/x": "/opt/venv/lib/x",
		"/../../etc": "/etc", "/missing/x": "/missing/x", "/loop/x": "/loop/x", "/": "/",
	} {
		if got := resolveIn(root, path); filepath.Clean(got) != filepath.Clean(root+want) {
			t.Errorf("%s: %s, want %s", path, got, root+want)
		}
	}
}

func TestQueuesWrites(t *testing.T) {
	for version, want := range map[string]bool{"0.16.0": false, "0.17.0": true, "0.22.1": true, "0.23.0": false, "1.0": false, "": false, "x": false} {
		if got := queuesWrites(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
