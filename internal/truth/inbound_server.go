package truth

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Server is one way to serve an application.
type Server struct {
	Name      string
	App       string // the file in app/
	Args      []string
	Workers   int // processes beside the first; 0: it serves alone
	Env       []string
	Templates bool              // the routes are those of the application's /openapi.json
	HTTP2     bool              // it speaks HTTP/2 without TLS
	Only      []string          // modes; nil: all that it does not lack
	Lacks     map[string]string // mode → why the server does not have it
}

// without says why the server does not have a mode, "" when it has it.
func (s *Server) without(mode string) string {
	if s.Only != nil && !slices.Contains(s.Only, mode) {
		return "the application is too small for it"
	}
	return s.Lacks[mode]
}

// inboundVenv is the environment of the servers.
const inboundVenv = "servers"

// In Args, PORT stands for the port; each program is a module of the environment's Python.

func uvicorn(loop, parser string, workers int, more ...string) []string {
	args := []string{"-m", "uvicorn", "web:app", "--host", "127.0.0.1", "--port", "PORT", "--loop", loop, "--http", parser,
		"--workers", strconv.Itoa(workers), "--timeout-keep-alive", "60", "--log-level", "error", "--no-access-log", "--backlog", "2048"}
	return append(args, more...)
}

func gunicorn(app, class string, more ...string) []string {
	args := []string{"-m", "gunicorn", app, "-k", class, "-w", "2", "-b", "127.0.0.1:PORT", "--keep-alive", "60", "--log-level", "error"}
	return append(args, more...)
}

const (
	noWebSocket = "the application has none for this kind of server"
	noFramework = "a route of the FastAPI application"
)

func wsgi(more map[string]string) map[string]string {
	lacks := map[string]string{"WebSocket": noWebSocket, "framework": noFramework}
	for k, v := range more {
		lacks[k] = v
	}
	return lacks
}

// servers are the rows of the inbound table.
var servers = []Server{
	{Name: "uvicorn, httptools, uvloop", App: "web", Args: uvicorn("uvloop", "httptools", 1), Templates: true},
	{Name: "uvicorn, h11, asyncio", App: "web", Args: uvicorn("asyncio", "h11", 1), Templates: true},
	{Name: "uvicorn, httptools, asyncio", App: "web", Args: uvicorn("asyncio", "httptools", 1), Templates: true},
	{Name: "uvicorn, h11, uvloop, two workers", App: "web", Args: uvicorn("uvloop", "h11", 2), Workers: 2, Templates: true},
	{Name: "uvicorn, fresh contexts, asyncio", App: "web", Args: uvicorn("asyncio", "h11", 1, "--reset-contextvars"), Templates: true},
	{Name: "uvicorn, fresh contexts, uvloop, two workers", App: "web", Args: uvicorn("uvloop", "httptools", 2, "--reset-contextvars"), Workers: 2, Templates: true},
	{Name: "uvicorn, BaseHTTPMiddleware", App: "web", Args: uvicorn("uvloop", "httptools", 1), Env: []string{"MIDDLEWARE=base"}, Templates: true},
	{Name: "gunicorn, uvicorn workers", App: "web", Args: gunicorn("web:app", "uvicorn_worker.UvicornWorker"), Workers: 2, Templates: true},
	{Name: "hypercorn", HTTP2: true, App: "web", Args: []string{"-m", "hypercorn", "web:app", "-b", "127.0.0.1:PORT", "--keep-alive", "60", "--log-level", "error"}, Templates: true},
	{Name: "granian", HTTP2: true, App: "web", Args: []string{"-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "PORT", "--log-level", "error", "web:app"}, Workers: 1, Templates: true},
	{Name: "gunicorn, gthread", App: "wsgi", Args: gunicorn("wsgi:site", "gthread", "--threads", "4"), Workers: 2, Lacks: wsgi(nil)},
	{Name: "gunicorn, gthread, SO_REUSEPORT", App: "wsgi", Args: gunicorn("wsgi:site", "gthread", "--threads", "4", "--reuse-port"), Workers: 2, Lacks: wsgi(nil)},
	{Name: "gunicorn, sync", App: "wsgi", Args: gunicorn("wsgi:site", "sync"), Workers: 2, Lacks: wsgi(map[string]string{"pipelined": "it closes after each answer", "open before": "it closes after each answer"})},
	{Name: "waitress", App: "wsgi", Args: []string{"-m", "waitress", "--listen=127.0.0.1:PORT", "--threads=4", "wsgi:site"}, Lacks: wsgi(nil)},
	{Name: "aiohttp.web", App: "aio", Args: []string{"aio.py", "PORT"}, Lacks: map[string]string{"framework": noFramework}},
	{Name: "sockets passed by SCM_RIGHTS", App: "passing", Args: []string{"passing.py", "PORT"}, Workers: 2, Only: []string{"keep-alive", "a connection each", "pipelined", "big body", "head in pieces", "long head", "open before"}},
}

// packages are the Python packages that the row depends on.
func (s *Server) packages() []string {
	of := map[string][]string{"web": {"fastapi", "starlette"}, "wsgi": {"Flask"}, "aio": {"aiohttp"}}[s.App]
	for _, p := range []string{"uvicorn", "uvloop", "httptools", "h11", "gunicorn", "hypercorn", "granian", "waitress"} {
		if slices.ContainsFunc(s.Args, func(a string) bool { return strings.Contains(strings.ToLower(a), p) }) {
			of = append(of, p, strings.ToUpper(p[:1])+p[1:])
		}
	}
	return of
}

// startServer starts an application behind a server and waits until it answers.
func (s *Stand) startServer(set Server) (*Target, error) {
	python, err := venv(inboundVenv)
	if err != nil {
		return nil, err
	}
	if err := place(s.Dir, set.App); err != nil {
		return nil, err
	}
	address, port, err := freePort()
	if err != nil {
		return nil, err
	}
	t := &Target{Address: address, Truth: filepath.Join(s.Dir, "truth.jsonl")}
	argv := []string{python}
	for _, a := range set.Args {
		argv = append(argv, strings.ReplaceAll(a, "PORT", port))
	}
	env := append(slices.Clone(set.Env), "TRUTH="+t.Truth, "PYTHONPATH="+s.Dir)
	if t.Process, err = s.start("target", false, env, argv...); err != nil {
		return nil, err
	}
	return t, t.await(30*time.Second, func() error {
		if n := len(family(t.PID)); n <= set.Workers {
			return fmt.Errorf("%w: %d processes", errNotReady, n)
		}
		return healthy("http://" + address + "/health")
	})
}
