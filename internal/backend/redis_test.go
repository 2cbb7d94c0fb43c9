package backend

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/request"
)

// startRedis runs a real redis-server on a free loopback port.
func startRedis(t *testing.T, args ...string) (address string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("not tested: no redis-server on this machine (apt-get install redis-server)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(path, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not listen")
		}
	}
}

// talk sends inline commands and waits for all their replies.
func talk(t *testing.T, address string, commands ...string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "%s\r\nQUIT\r\n", strings.Join(commands, "\r\n"))
	for buf := make([]byte, 4096); ; {
		if _, err := c.Read(buf); err != nil {
			return // Redis closes after QUIT
		}
	}
}

func TestRealRedis(t *testing.T) {
	address := startRedis(t, "--maxmemory", "64mb")
	now := time.Now()
	p := NewPoller(Credentials{})
	p.now = func() time.Time { return now }
	peers := []request.Peer{{System: "redis", Address: address}}
	start := p.Poll(t.Context(), peers)
	talk(t, address, "SET a 1", "GET a", "GET a", "GET a", "GET b", "SELECT 3", "SET c 1")
	now = now.Add(MinInterval)
	end := Rates(start, p.Poll(t.Context(), peers), 2)

	b := end[0]
	if b.Error != "" || !strings.HasPrefix(b.Version, "7.") && !strings.HasPrefix(b.Version, "6.") && !strings.HasPrefix(b.Version, "8.") {
		t.Fatalf("version %q, error %q", b.Version, b.Error)
	}
	for key, want := range map[string]float64{"keyspace_hits": 3, "keyspace_misses": 1, "evicted_keys": 0, "maxmemory": 64 << 20, "keys": 2, "connected_clients": 1} {
		if got, ok := b.Values[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if b.Values["used_memory"] < 100e3 || b.Rates["keyspace_hits"] != 1.5 || b.Rates["keyspace_misses"] != .5 {
		t.Errorf("values %v, rates %v", b.Values, b.Rates)
	}
}

func TestRedisWithPassword(t *testing.T) {
	address := startRedis(t, "--requirepass", "secret")
	for _, c := range []struct{ name, username, password, want string }{
		{"none", "", "", "RAGSCOPE_REDIS_PASSWORD"},
		{"wrong", "", "guess", "WRONGPASS"},
		{"right", "", "secret", ""},
		{"right, with a name", "default", "secret", ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		f, err := redis{c.username, c.password}.ask(ctx, address)
		cancel()
		switch {
		case c.want == "" && (err != nil || f.values["used_memory"] == 0):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "guess")):
			t.Errorf("%s: %v, want it to speak of %s", c.name, err, c.want)
		}
	}
}

// Replies that are not Redis', or hostile, are errors and not a large buffer or a panic.
func TestStrangeReplies(t *testing.T) {
	for _, reply := range []string{"", "\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "$999999999999\r\n", "$-1\r\n", "$x\r\n", "$10\r\nshort", "-ERR unknown command\r\n", strings.Repeat("x", 10000)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 64)) // the command
			c.Write([]byte(reply))
			c.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if f, err := (redis{}).ask(ctx, l.Addr().String()); err == nil {
			t.Errorf("%.20q: %v", reply, f)
		}
		cancel()
		l.Close()
	}
}
