package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/stack"
)

// store is a Pyroscope server as far as the agent sees it: its push service, and the path that
// pyroscope-go uploads to.
type store struct {
	t   *testing.T
	mu  sync.Mutex
	sum map[string]int64 // nanoseconds by "service endpoint"
	own []string         // names of uploads
}

func (s *store) Push(_ context.Context, r *connect.Request[pushv1.PushRequest]) (*connect.Response[pushv1.PushResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := r.Header().Get("Authorization"); got != "Bearer secret" {
		s.t.Errorf("Authorization is %q", got)
	}
	for _, series := range r.Msg.Series {
		labels := map[string]string{}
		for _, l := range series.Labels {
			labels[l.Name] = l.Value
		}
		for _, raw := range series.Samples {
			p, err := profile.Parse(bytes.NewReader(raw.RawProfile))
			if err != nil {
				s.t.Error(err)
				continue
			}
			for _, sample := range p.Sample {
				s.sum[labels["__name__"]+" "+labels["service_name"]+" "+labels["endpoint"]] += sample.Value[len(sample.Value)-1]
			}
		}
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func (s *store) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = append(s.own, r.URL.Query().Get("name"))
}

func startStore(t *testing.T) (*store, string) {
	t.Helper()
	s := &store{t: t, sum: map[string]int64{}}
	mux := http.NewServeMux()
	mux.Handle(pushv1connect.NewPusherServiceHandler(s))
	mux.Handle("/ingest", s)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return s, web.URL
}

// What the target burned reaches Pyroscope under its name, what the agent costs under its own
// name, also when it ends before the first interval does.
func TestRunPushes(t *testing.T) {
	needRoot(t)
	target := startService(t)
	server, url := startStore(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := begin(t, "run", "--listen", "127.0.0.1:0", "--target", target.port, "--service", "burner",
		"--pyroscope", url, "--pyroscope-token", "@"+token, "--self-profile")
	at := servesAt.FindStringSubmatch(agent.until(t, "msg=serving"))[1]
	if line := agent.until(t, "stacks"); !strings.Contains(line, "are sampled") {
		t.Skipf("SKIPPED: CPU STACKS NOT TESTED: %s", line)
	}
	const n = 10 // half a second of CPU, 48 samples
	target.ask(t, "/burn", n)
	client := &http.Client{Timeout: patience}
	eventually(t, "pprof's pages show what burns", func() bool {
		res, err := client.Get(at + "/pprof/cpu/top")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	metrics := body(t, client, at+"/metrics", http.StatusOK)
	if !strings.Contains(metrics, `ragscope_pyroscope_profiles_dropped_total{reason="queue_full"} 0`) {
		t.Error("the metrics do not count dropped profiles")
	}
	if page := body(t, client, at+"/", http.StatusOK); !strings.Contains(page, "profiles sent") || !strings.Contains(page, "/pprof/cpu/") {
		t.Error("the page shows neither pprof's pages nor what was sent")
	}
	agent.stop()
	end := agent.end(t)
	end.wants(t, command.OK)
	if strings.Contains(end.err, "secret") {
		t.Error("the log holds the token")
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	series := "process_cpu burner " + stack.RequestUnknown // the service is a Go program
	if got, whole := server.sum[series], n*burn.Nanoseconds(); got < whole/4 || got > whole*4 {
		t.Errorf("%d ms arrived of %d ms burned: %v", got/1e6, whole/1e6, server.sum)
	}
	if len(server.own) == 0 || !strings.HasPrefix(server.own[0], ownName) {
		t.Errorf("profiles of the agent itself: %v", server.own)
	}
}
