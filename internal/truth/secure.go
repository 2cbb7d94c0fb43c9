package truth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// secureServers are the servers that are asked over TLS, as arguments of the environment's python
// before the address.
var secureServers = map[string]struct {
	argv    []string
	clients []string // of its outgoing calls
	http2   bool     // its clients ask for HTTP/2
}{
	"uvicorn, asyncio":  {strings.Fields("-m uvicorn secure:app --loop asyncio --log-level warning --no-access-log --ssl-keyfile key.pem --ssl-certfile cert.pem"), asyncClients, false},
	"uvicorn, uvloop":   {strings.Fields("-m uvicorn secure:app --loop uvloop --log-level warning --no-access-log --ssl-keyfile key.pem --ssl-certfile cert.pem"), asyncClients, false},
	"hypercorn":         {strings.Fields("-m hypercorn secure:app --config hypercorn.toml --keyfile key.pem --certfile cert.pem"), asyncClients[:3], false},
	"hypercorn, HTTP/2": {strings.Fields("-m hypercorn secure:app --config hypercorn.toml --keyfile key.pem --certfile cert.pem"), asyncClients[:3], true},
	"gunicorn gthread":  {strings.Fields("-m gunicorn secure:wsgi --worker-class gthread --threads 20 --keyfile key.pem --certfile cert.pem"), []string{"none", "requests"}, false},
}

var (
	asyncClients  = []string{"none", "httpx", "aiohttp", "openai", "redis", "requests"}
	secureAddress = map[string]string{"uvicorn": "--port", "hypercorn": "--bind", "gunicorn": "--bind"}
)

// hypercornSettings keep it from closing a connection after 1,000 requests, with those that it has read and not answered.
const hypercornSettings = "keep_alive_max_requests = 1000000\n"

// RunSecure measures one of secureServers with its clients in turn, n requests at a time until count are
// answered: everything over TLS.
func RunSecure(ctx context.Context, dir, server string, n, count int) (*Row, *recording.Recording, error) {
	s := NewStand(dir)
	defer s.Close()
	pool, err := certify(dir)
	if err != nil {
		return nil, nil, err
	}
	address, log, err := s.startSecure(dir, server, pool)
	if err != nil {
		return nil, nil, err
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: address, Precision: kernel.Full, Requests: lines})
	if err != nil {
		return nil, nil, err
	}
	clients := secureServers[server].clients
	sent := securely(ctx, address, pool, secureServers[server].http2, n, count, func(i int) string { return "/" + clients[i%len(clients)] + "/" + word(i) })
	rec, err := a.Finish()
	if err != nil {
		return nil, nil, err
	}
	known, err := readLines[Known](log)
	if err != nil {
		return nil, nil, fmt.Errorf("read the truth: %w", err)
	}
	seen, err := readLines[Seen](lines)
	if err != nil {
		return nil, nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	r := &Row{
		Name: "TLS, " + server, Kind: "server", Server: server + ", certificate of its own", Client: strings.Join(clients, ", "), Peer: "a Go server and Redis, over TLS",
		Load: fmt.Sprintf("%d at a time", n), Concurrency: n, Note: "only httpx has a pool smaller than the load",
	}
	r.Requests(sent, seen)
	all := Compare(sent, known, seen)[0]
	r.Calls = &CallFigures{Made: all.CallsMade, Linked: all.CallsLinked, Wrong: all.CallsWrong, ByBasis: map[string]int{}}
	for i := range seen {
		for _, k := range seen[i].Calls {
			r.Calls.ByBasis[k.Basis]++
		}
	}
	r.Wait = &WaitFigures{Requests: len(all.errors), Error: all.Error, False: all.FalseWaits, Unsure: all.FalseUnsure, Missed: all.MissedWaits, Waited: all.TrueWaits}
	r.Finish(rec)
	return r, rec, nil
}

func (s *Stand) startSecure(dir, server string, pool *x509.CertPool) (address, log string, err error) {
	python, err := venv("tls")
	if err != nil {
		return "", "", err
	}
	if err := place(dir, "secure"); err != nil {
		return "", "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "hypercorn.toml"), []byte(hypercornSettings), 0o644); err != nil {
		return "", "", err
	}
	redisPort, err := s.startSecureRedis()
	if err != nil {
		return "", "", err
	}
	peer, err := s.startSecurePeer(dir)
	if err != nil {
		return "", "", err
	}
	pooled, err := s.startSecurePeer(dir)
	if err != nil {
		return "", "", err
	}
	address, port, err := freePort()
	if err != nil {
		return "", "", err
	}
	set := secureServers[server]
	option := secureAddress[set.argv[1]]
	where := port
	if option == "--bind" {
		where = address
	}
	log = filepath.Join(dir, "truth.jsonl")
	env := []string{"PEER=" + peer, "POOLED=" + pooled, "REDIS_PORT=" + redisPort, "CA=cert.pem", "TRUTH=" + log}
	p, err := s.start("target", false, env, append([]string{python}, append(set.argv, option, where)...)...)
	if err != nil {
		return "", "", err
	}
	return address, log, p.await(30*time.Second, func() error {
		if got := securely(context.Background(), address, pool, false, 1, 1, func(int) string { return "/health" })[0]; got.Err != nil || got.Status != http.StatusOK {
			return fmt.Errorf("%w: status %d, %w", errNotReady, got.Status, got.Err)
		}
		return nil
	})
}

func (s *Stand) startSecureRedis() (port string, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("%w: redis-server: install it (apt-get install redis-server)", ErrMissing)
	}
	address, port, err := freePort()
	if err != nil {
		return "", err
	}
	p, err := s.start("redis", false, nil, program, "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save", "",
		"--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "cert.pem", "--tls-auth-clients", "no")
	if err != nil {
		return "", err
	}
	return port, p.await(10*time.Second, func() error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// startSecurePeer answers what the applications ask for: /answer/… after 5 ms, and chat completions as a stream.
func (s *Stand) startSecurePeer(dir string) (url string, err error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return "", err
	}
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(5 * time.Millisecond) // the peer's work
		if !strings.HasSuffix(r.URL.Path, "/chat/completions") {
			w.Header().Set("Content-Length", "3000")
			_, _ = io.WriteString(w, strings.Repeat("x", 3000))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 5 {
			_, _ = io.WriteString(w, `data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}`+"\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(2 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	h.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	h.StartTLS()
	s.atClose(h.Close)
	return h.URL, nil
}

// securely is Together over TLS. Over HTTP/2 all requests share a connection.
func securely(ctx context.Context, address string, pool *x509.CertPool, http2 bool, n, count int, path func(i int) string) []Sent {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: n, ForceAttemptHTTP2: http2}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	out := make([]Sent, count)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				out[i] = Sent{ID: "tls-" + strconv.Itoa(i), Path: path(i)}
				start := time.Now()
				out[i].Status, out[i].Err = fetch(ctx, client, "https://"+address+out[i].Path, out[i].ID, http2)
				out[i].Seconds = time.Since(start).Seconds()
			}
		})
	}
	wg.Wait()
	return out
}

func fetch(ctx context.Context, client *http.Client, url, id string, http2 bool) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Request-Id", id)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if http2 != (res.ProtoMajor == 2) {
		return 0, fmt.Errorf("the answer is %s", res.Proto)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// word is a name of letters only, so that it is taken for no identifier.
func word(i int) string {
	out := "word"
	for ; i > 0; i /= 26 {
		out += string(rune('a' + i%26))
	}
	return out
}

// certify puts key.pem and cert.pem for 127.0.0.1 into dir, and returns who trusts them.
func certify(dir string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600); err != nil {
		return nil, err
	}
	return pool, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

// secureCases are the rows of everything over TLS.
func secureCases() (out []Case) {
	for _, server := range []string{"uvicorn, asyncio", "uvicorn, uvloop", "hypercorn", "hypercorn, HTTP/2", "gunicorn gthread"} {
		out = append(out, Case{"TLS, " + server, func(ctx context.Context, dir string) (*Row, error) {
			r, _, err := RunSecure(ctx, dir, server, 16, 3000)
			return r, err
		}})
	}
	return out
}
