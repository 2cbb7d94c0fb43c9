package truth

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
)

// restarting are servers whose workers come and go while they are asked. With one worker, every
// request after a restart is one of the first of a new process: they wait in the listening socket for it.
var restarting = []struct {
	Server
	kill time.Duration // how often one worker is killed; 0: they end by themselves
}{
	{Server: Server{Name: "gunicorn, one uvicorn worker, ends after 40 requests", App: "web", Args: append(gunicorn("web:app", "uvicorn_worker.UvicornWorker"), "-w", "1", "--max-requests", "40"), Workers: 1, Templates: true}},
	{Server: Server{Name: "gunicorn gthread, ends after 40 requests", App: "wsgi", Args: append(gunicorn("wsgi:site", "gthread", "--threads", "4"), "-w", "1", "--max-requests", "40"), Workers: 1}},
	{Server: Server{Name: "gunicorn, uvicorn workers, killed", App: "web", Args: gunicorn("web:app", "uvicorn_worker.UvicornWorker"), Workers: 2, Templates: true}, kill: 3 * time.Second},
	{Server: Server{Name: "uvicorn, two workers, killed", App: "web", Args: uvicorn("uvloop", "httptools", 2), Workers: 2, Templates: true}, kill: 3 * time.Second},
}

func restartCases() (out []Case) {
	for i := range restarting {
		out = append(out, Case{restarting[i].Name, func(ctx context.Context, dir string) (*Row, error) { return RunRestart(ctx, dir, i, 20*time.Second) }})
	}
	return out
}

// RunRestart asks one of restarting for a time, a connection for each request. Requests whose connection
// broke with the worker count as not sent.
func RunRestart(ctx context.Context, dir string, which int, d time.Duration) (*Row, error) {
	set := restarting[which]
	s := NewStand(dir)
	defer s.Close()
	t, err := s.startServer(set.Server)
	if err != nil {
		return nil, err
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, Requests: lines})
	if err != nil {
		return nil, err
	}
	c := &caller{address: t.Address, prefix: "restart", mode: "workers restart"}
	killed := time.Now()
	for begin := time.Now(); time.Since(begin) < d && ctx.Err() == nil; {
		if set.kill > 0 && time.Since(killed) > set.kill {
			killed = time.Now()
			killWorker(t.PID)
		}
		n := len(c.asked)
		err := c.on(func(w *wire) error { return c.exchange(w, "GET", plainPaths[n%3], "Connection: close") })
		if err != nil {
			c.asked = c.asked[:n]
		}
		time.Sleep(5 * time.Millisecond)
	}
	rec, err := a.Finish()
	if err != nil {
		return nil, err
	}
	seen, err := readLines[Seen](lines)
	if err != nil {
		return nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	row := inboundRow(&set.Server, compareInbound(&set.Server, []mode{{name: c.mode}}, c.asked, seen))
	row.Load = "one at a time, workers restart"
	if python, err := venv(inboundVenv); err == nil {
		row.Versions = pythonVersions(python, set.packages()...)
	}
	row.Finish(rec)
	return row, nil
}

// killWorker kills the newest process of a server that is no helper of multiprocessing.
func killWorker(master int) {
	newest := 0
	for _, pid := range family(master) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && pid != master && pid > newest && !bytes.Contains(line, []byte("resource_tracker")) {
			newest = pid
		}
	}
	if newest != 0 {
		_ = syscall.Kill(newest, syscall.SIGKILL) // gone already is as good
	}
}
