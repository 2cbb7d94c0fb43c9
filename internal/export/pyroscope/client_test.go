package pyroscope

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"

	"github.com/ragscope/ragscope/internal/stack"
)

// server is a real handler of the push API that answers as it is told.
type server struct {
	mu      sync.Mutex
	answers []error // of the next pushes, then success
	limits  limits  // beyond which it rejects, as Pyroscope does
	reject  string  // an endpoint whose series it rejects
	delay   time.Duration
	pushes  []*pushv1.PushRequest
	headers []http.Header
	got     chan struct{} // a value for each push
}

func (s *server) Push(_ context.Context, r *connect.Request[pushv1.PushRequest]) (*connect.Response[pushv1.PushResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.got <- struct{}{} }()
	time.Sleep(s.delay)
	s.pushes = append(s.pushes, r.Msg)
	s.headers = append(s.headers, r.Header())
	if len(s.answers) > 0 {
		err := s.answers[0]
		s.answers = s.answers[1:]
		if err != nil {
			return nil, err
		}
	}
	for _, series := range r.Msg.Series {
		if s.reject != "" && strings.Contains(labelsOf(series), s.reject) {
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("this series exists no more"))
		}
	}
	if err := s.limits.check(r.Msg); err != nil {
		return nil, err
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func start(t *testing.T, answers ...error) (*server, string) {
	t.Helper()
	s := &server{answers: answers, limits: usual, got: make(chan struct{}, 1000)}
	mux := http.NewServeMux()
	mux.Handle(pushv1connect.NewPusherServiceHandler(s))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return s, web.URL
}

func (s *server) await(t *testing.T, pushes int) []*pushv1.PushRequest {
	t.Helper()
	for range pushes {
		select {
		case <-s.got:
		case <-time.After(10 * time.Second):
			t.Fatalf("waited in vain for %d pushes", pushes)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushes
}

var monday = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newClient(t *testing.T, o Options) (*Client, *[]time.Duration) {
	t.Helper()
	if o.Service == "" {
		o.Service = "rag-api"
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	waits := &[]time.Duration{}
	c.now = func() time.Time { return monday.Add(20 * time.Second) }
	c.wait = func(ctx context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return ctx.Err()
	}
	return c, waits
}

// run sends until stop is called; stop waits for the end of Run.
func run(c *Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func cpuProfile(endpoints ...string) *stack.Profile {
	p := stack.NewProfile(stack.CPU, 10*time.Millisecond, monday)
	p.End = monday.Add(15 * time.Second)
	for i, e := range endpoints {
		for range i + 1 {
			p.Add(e, stack.Sample{Value: 10e6, Frames: []stack.Frame{
				{Function: "search", File: "/app/api.py", Line: 12, Kind: stack.Python},
				{Function: "main", File: "/app/api.py", Line: 3, Kind: stack.Python},
			}})
		}
	}
	return p
}

func labelsOf(s *pushv1.RawProfileSeries) string {
	var parts []string
	for _, l := range s.Labels {
		parts = append(parts, l.Name+"="+l.Value)
	}
	return strings.Join(parts, " ")
}

func TestPushArrivesBySeries(t *testing.T) {
	s, url := start(t)
	c, _ := newClient(t, Options{URL: strings.Replace(url, "http://", "http://user:secret@", 1), Access: Access{Tenant: "team"}, Labels: map[string]string{"env": "test"}})
	stop := run(c)
	c.Push(cpuProfile("GET /health", "POST /chat"))
	pushes := s.await(t, 1)
	stop()

	if len(pushes) != 1 || len(pushes[0].Series) != 2 {
		t.Fatalf("got %v, want one push of two series", pushes)
	}
	want := []string{
		"__name__=process_cpu endpoint=GET /health env=test service_name=rag-api",
		"__name__=process_cpu endpoint=POST /chat env=test service_name=rag-api",
	}
	for i, series := range pushes[0].Series {
		if got := labelsOf(series); got != want[i] {
			t.Errorf("series %d: labels %q, want %q", i, got, want[i])
		}
		p, err := profile.Parse(bytes.NewReader(series.Samples[0].RawProfile))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Sample[0].Value, []int64{int64(i + 1), int64(i+1) * 10e6}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("series %d: values %v, want %v", i, got, want)
		}
		if len(p.Sample[0].Label) != 0 {
			t.Errorf("series %d: the sample carries %v again", i, p.Sample[0].Label)
		}
		if p.TimeNanos != monday.UnixNano() || p.PeriodType.Type != "cpu" || series.Samples[0].ID == "" {
			t.Errorf("series %d: time %d, period %v, id %q", i, p.TimeNanos, p.PeriodType, series.Samples[0].ID)
		}
	}
	if h := s.headers[0]; h.Get("X-Scope-OrgID") != "team" || !strings.HasPrefix(h.Get("Authorization"), "Basic ") {
		t.Errorf("headers %v name neither tenant nor user", h)
	}
	if got := c.Stats(); got.Sent != 2 || len(got.Dropped) != 0 || got.Queued != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestAnAbsentServerIsTriedAgain(t *testing.T) {
	away := connect.NewError(connect.CodeUnavailable, errors.New("starting"))
	s, url := start(t, away, connect.NewError(connect.CodeResourceExhausted, errors.New("slow down")), away)
	c, waits := newClient(t, Options{URL: url})
	stop := run(c)
	c.Push(cpuProfile("GET /health"))
	pushes := s.await(t, 4)
	stop()
	if got := c.Stats(); got.Sent != 1 || got.Retries != 3 || len(got.Dropped) != 0 {
		t.Errorf("stats %+v, want one request after three retries", got)
	}
	if len(*waits) != 3 || (*waits)[0] > firstWait || (*waits)[2] <= firstWait {
		t.Errorf("waits %v, want three that grow from %v", *waits, firstWait)
	}
	first := pushes[0].Series[0].Samples[0].ID
	for _, p := range pushes[1:] {
		if p.Series[0].Samples[0].ID != first {
			t.Error("the repeated profile has another id: the server would count it twice")
		}
	}
}

func TestWhatIsDroppedIsCounted(t *testing.T) {
	tests := []struct {
		name    string
		answers []error
		age     time.Duration
		reason  string
		pushes  int
	}{
		{"rejected", []error{connect.NewError(connect.CodeInvalidArgument, errors.New("bad labels"))}, 0, DropRejected, 1},
		{"no rights", []error{connect.NewError(connect.CodeUnauthenticated, errors.New("who?"))}, 0, DropRejected, 1},
		{"too old", nil, 2 * time.Hour, DropTooOld, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, url := start(t, test.answers...)
			c, waits := newClient(t, Options{URL: url})
			now := c.now()
			c.now = func() time.Time { return now.Add(test.age) }
			c.Push(cpuProfile("GET /health"))
			run(c)() // Run sends what is queued before it returns
			s.await(t, test.pushes)
			if got := c.Stats(); got.Dropped[test.reason] != 1 || got.Sent != 0 || got.Queued != 0 {
				t.Errorf("stats %+v, want one dropped: %s", got, test.reason)
			}
			if len(*waits) != 0 {
				t.Errorf("waited %v for a server that will not change its mind", *waits)
			}
		})
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	c, _ := newClient(t, Options{URL: "http://127.0.0.1:1"})
	for range maxQueued + 5 {
		c.Push(cpuProfile("GET /health"))
	}
	if got := c.Stats(); got.Queued != maxQueued || got.Dropped[DropQueueFull] != 5 {
		t.Errorf("stats %+v, want %d queued and 5 dropped", got, maxQueued)
	}
}

func TestTheEndLosesNothingUncounted(t *testing.T) {
	c, _ := newClient(t, Options{URL: "http://127.0.0.1:1"}) // nobody listens
	c.wait = func(context.Context, time.Duration) error { return context.Canceled }
	c.Push(cpuProfile("GET /health"))
	run(c)()
	if got := c.Stats(); got.Dropped[DropShutdown] != 1 || got.Queued != 0 {
		t.Errorf("stats %+v, want one dropped by the end", got)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"no scheme", Options{URL: "pyroscope:4040", Service: "s"}, "http://host:4040"},
		{"token and password", Options{URL: "http://me:secret@p:4040", Service: "s", Access: Access{Token: "secret"}}, "not both"},
		{"token of two lines", Options{URL: "http://p:4040", Service: "s", Access: Access{Token: "secret\nX-More: y"}}, "one line"},
		{"a URL that cannot be parsed", Options{URL: "http://me:secret@p:port", Service: "s"}, "http://host:4040"},
		{"no service", Options{URL: "http://p:4040"}, "service name"},
		{"label", Options{URL: "http://p:4040", Service: "s", Labels: map[string]string{"a-b": "c"}}, `"a-b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error %q repeats a secret", err)
			}
		})
	}
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	for attempt, want := range map[int]time.Duration{0: firstWait, 1: time.Second, 3: 4 * time.Second, 9: 256 * time.Second, 10: lastWait, 70: lastWait} {
		for range 50 {
			if got := backoff(attempt); got > want || got < want*3/4 {
				t.Errorf("backoff(%d) = %v, want %v less up to a quarter", attempt, got, want)
			}
		}
	}
}
