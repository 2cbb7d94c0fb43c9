package truth

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Settings choose an application and how it is run. The zero value of a field is its default.
type Settings struct {
	App        string        // "app" (FastAPI, knows the truth), "stages" (raw ASGI, knows where its time goes), "memory" (FastAPI, knows what it keeps) or "bare" (raw ASGI, logs nothing); default app
	Loop       string        // "uvloop" or "asyncio"; default uvloop
	HTTP       string        // "httptools" or "h11"; default httptools
	Middleware string        // "asgi" or "base" (BaseHTTPMiddleware); default asgi
	Workers    int           // default 1
	Pool       int           // Redis connections of each worker; default 10
	Hold       time.Duration // how long /hold keeps a connection; default 20 ms
	Log        bool          // write the truth log
	needs      string        // the environment it runs in, app/NAME.txt
	env        []string      // more of the process's environment
}

// String is how it is named in results.
func (s Settings) String() string {
	s = s.defaults()
	return fmt.Sprintf("%s, %s, %s, %d worker(s), pool %d", map[string]string{"app": "FastAPI", "bare": "raw ASGI", "stages": "raw ASGI", "memory": "FastAPI", "profiles": "FastAPI", "names": "FastAPI", "sleeps": "raw ASGI", "allocate": "raw ASGI"}[s.App], s.Loop, s.HTTP, s.Workers, s.Pool)
}

func (s Settings) defaults() Settings {
	s.App, s.Loop = cmp.Or(s.App, "app"), cmp.Or(s.Loop, "uvloop")
	s.HTTP, s.Middleware = cmp.Or(s.HTTP, "httptools"), cmp.Or(s.Middleware, "asgi")
	s.Workers, s.Pool = cmp.Or(s.Workers, 1), cmp.Or(s.Pool, 10)
	s.Hold = cmp.Or(s.Hold, 20*time.Millisecond)
	return s
}

// Target is a running application.
type Target struct {
	*Process
	Settings
	Address string // host:port
	Redis   *Redis
	Truth   string // path of its log
}

// Redis is a running redis-server.
type Redis struct {
	*Process
	Address string
}

// StartRedis starts a redis-server without persistence. Its timer runs at 500 Hz, so that a
// blocking command ends within 2 ms of its time.
func (s *Stand) StartRedis(name string) (*Redis, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: redis-server: install it (apt-get install redis-server)", ErrMissing)
	}
	address, port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := s.start(name, false, nil, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--hz", "500", "--dynamic-hz", "no")
	if err != nil {
		return nil, err
	}
	return &Redis{p, address}, p.await(10*time.Second, func() error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// StartTarget starts an application with a Redis of its own and waits until it answers.
func (s *Stand) StartTarget(set Settings) (*Target, error) {
	set = set.defaults()
	python, err := venv(cmp.Or(set.needs, basic))
	if err != nil {
		return nil, err
	}
	if err := place(s.Dir, set.App); err != nil {
		return nil, err
	}
	redis, err := s.StartRedis("redis")
	if err != nil {
		return nil, err
	}
	t := &Target{Settings: set, Redis: redis}
	address, port, err := freePort()
	if err != nil {
		return nil, err
	}
	t.Address = address
	_, redisPort, err := net.SplitHostPort(redis.Address)
	if err != nil {
		return nil, err
	}
	env := []string{
		"REDIS_PORT=" + redisPort, "POOL=" + strconv.Itoa(set.Pool), "MIDDLEWARE=" + set.Middleware,
		"HOLD_MS=" + strconv.FormatFloat(set.Hold.Seconds()*1e3, 'f', -1, 64),
	}
	env = append(env, set.env...)
	if set.Log {
		t.Truth = filepath.Join(s.Dir, "truth.jsonl")
		env = append(env, "TRUTH="+t.Truth)
	}
	argv := []string{
		python, "-m", "uvicorn", set.App + ":app", "--host", "127.0.0.1", "--port", port, "--loop", set.Loop,
		"--http", set.HTTP, "--log-level", "warning", "--no-access-log", "--backlog", "2048",
	}
	if set.Workers > 1 {
		argv = append(argv, "--workers", strconv.Itoa(set.Workers))
	}
	if t.Process, err = s.start("target", false, env, argv...); err != nil {
		return nil, err
	}
	return t, t.await(30*time.Second, t.answers)
}

// answers asks for /health, and that all workers are there.
func (t *Target) answers() error {
	if err := healthy("http://" + t.Address + "/health"); err != nil {
		return err
	}
	if n := len(family(t.PID)); t.Workers > 1 && n <= t.Workers {
		return fmt.Errorf("%w: %d processes", errNotReady, n)
	}
	return nil
}

// healthy asks for a page on a connection of its own.
func healthy(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %s", errNotReady, res.Status)
	}
	return nil
}

// freePort returns a loopback port that nothing listens on.
func freePort() (address, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	address = l.Addr().String()
	return address, address[strings.LastIndexByte(address, ':')+1:], nil
}
