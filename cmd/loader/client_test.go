package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load/loadtest"
)

// served is a line of nginx's log.
type served struct{ uri, protocol, connection, cookie, encoding, scheme, address, status string }

// nginx is a real server with everything that the client of a scenario can be told.
type nginx struct {
	plain, secure, socket string
	log                   string
	text                  int // bytes of /text
}

func startNginx(t *testing.T) *nginx {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED: nginx is missing: .ci/setup installs it")
	}
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow/body" {
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
		}
		time.Sleep(1500 * time.Millisecond)
		_, _ = io.WriteString(w, "b")
	}))
	t.Cleanup(slow.Close)
	config, err := os.ReadFile("testdata/client.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate(t, dir)
	long := strings.Repeat("the same again ", 200)
	n := &nginx{plain: freeAddress(t), secure: freeAddress(t), socket: filepath.Join(dir, "sock"), log: filepath.Join(dir, "access"), text: len(long)}
	file := filepath.Join(dir, "nginx.conf")
	text := strings.NewReplacer("DIR", dir, "PLAIN", n.plain, "SECURE", n.secure, "UPSTREAM", slow.URL, "LONG", long).Replace(string(config))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-e", filepath.Join(dir, "errors"), "-c", file)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	for range 200 {
		if conn, err := net.Dial("tcp", n.secure); err == nil {
			conn.Close()
			return n
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nginx does not listen")
	return nil
}

// certificate writes one that nobody trusts.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// lines are what nginx served since the last call.
func (n *nginx) lines(t *testing.T) (out []served) {
	t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(n.log, 0); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		out = append(out, served{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]})
	}
	return out
}

// What a scenario says of the client is what a real server sees.
func TestClientSettings(t *testing.T) {
	n := startNginx(t)
	all := func(f func(served) bool) func([]served) bool {
		return func(lines []served) bool {
			return len(lines) > 4 && !slices.ContainsFunc(lines, func(s served) bool { return !f(s) })
		}
	}
	connections := func(lines []served) int {
		seen := map[string]bool{}
		for _, l := range lines {
			seen[l.connection] = true
		}
		return len(seen)
	}
	const text = "[{name: text, request: {path: /text}, check: {contains: the same again}}]"
	plain, secure := "http://"+n.plain, "https://"+n.secure
	for name, tt := range map[string]struct {
		host, client, tasks string
		code                int
		failure             string // of every request
		want                func([]served) bool
	}{
		"two connections for two users": {host: plain, tasks: text, want: func(l []served) bool { return len(l) > 4 && connections(l) == 2 }},
		"keep_alive: false":             {host: plain, client: "keep_alive: false", tasks: text, want: func(l []served) bool { return len(l) > 4 && connections(l) == len(l) }},
		"gzip":                          {host: plain, tasks: text, want: all(func(s served) bool { return s.encoding == "gzip" && s.protocol == "HTTP/1.1" })},
		"a Unix socket":                 {host: "unix:" + n.socket, tasks: text, want: all(func(s served) bool { return strings.HasPrefix(s.address, "unix:") && s.status == "200" })},
		"a certificate that is not trusted": {
			host: secure, tasks: text, code: 1,
			failure: "SSLError('[SSL: CERTIFICATE_VERIFY_FAILED]", want: func(l []served) bool { return len(l) == 0 },
		},
		"insecure":        {host: secure, client: "insecure: true", tasks: text, want: all(func(s served) bool { return s.scheme == "https" && s.protocol == "HTTP/1.1" })},
		"http2 with TLS":  {host: secure, client: "insecure: true, http2: true", tasks: text, want: all(func(s served) bool { return s.scheme == "https" && s.protocol == "HTTP/2.0" })},
		"connect_timeout": {host: loadtest.FullListener(t), client: "connect_timeout: 100ms", tasks: text, code: 1, failure: "ConnectTimeoutError('Connection timed out. (no connection after 100ms)')", want: func(l []served) bool { return len(l) == 0 }},
		"first_byte_timeout": {
			host: plain, client: "first_byte_timeout: 800ms", tasks: "[{name: text, request: {path: /slow/head}}]", code: 1,
			failure: "ReadTimeout('Read timed out. (no byte of an answer after 800ms)')", want: func(l []served) bool { return len(l) >= 2 && l[0].status == "499" },
		},
		"first_byte_timeout of a slow body": {
			host: plain, client: "first_byte_timeout: 800ms", tasks: "[{name: text, request: {path: /slow/body}}]", // its end may come late
			want: func(l []served) bool { return len(l) >= 2 && l[0].status == "200" },
		},
		"redirects": {host: plain, tasks: "[{name: text, request: {path: /moved}}]", want: func(l []served) bool {
			moved := slices.DeleteFunc(slices.Clone(l), func(s served) bool { return s.uri != "/moved" })
			return len(moved) > 4 && len(l) == 2*len(moved)
		}},
		"cookies": {host: plain, tasks: "[{name: text, steps: [{name: text, request: {path: /login}}, {name: text, request: {path: /text}}]}]", want: func(l []served) bool {
			cookies := map[string]bool{}
			for _, s := range l {
				if s.uri == "/text" && s.cookie != "sid="+s.connection { // each user's own
					return false
				}
				cookies[s.cookie] = true
			}
			return len(l) > 4 && len(cookies) == 3 // and none at first
		}},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := filepath.Join(t.TempDir(), "run")
			scene := fmt.Sprintf("name: client\nhost: '%s'\nusers: 2\nspawn_rate: 100\nrun_time: 900ms\nthink_time: 30ms\nclient: {%s}\ntasks: %s\n", tt.host, tt.client, tt.tasks)
			if err := os.WriteFile(prefix+".yaml", []byte(scene), 0o600); err != nil {
				t.Fatal(err)
			}
			if code := loader("--scenario", prefix+".yaml", "--headless", "--only-summary", "--csv", prefix); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			time.Sleep(50 * time.Millisecond) // nginx logs after it has answered
			lines := n.lines(t)
			if !tt.want(lines) {
				t.Errorf("%d lines on %d connections: %+v", len(lines), connections(lines), lines[:min(len(lines), 8)])
			}
			if got := failuresOf(t, prefix)["text"]; (tt.failure == "") != (got == "") || !strings.HasPrefix(got, tt.failure) {
				t.Errorf("failure %q, want %q", got, tt.failure)
			}
			if requests, size := column(t, prefix+"_stats.csv", "text", "Request Count"), column(t, prefix+"_stats.csv", "text", "Average Content Size"); tt.tasks == text && tt.code == 0 && size != fmt.Sprintf("%d.0", n.text) {
				t.Errorf("%s answers of %s bytes, want %d, as when nothing is compressed", requests, size, n.text)
			}
		})
	}
}
