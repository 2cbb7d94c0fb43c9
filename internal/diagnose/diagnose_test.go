package diagnose

import (
	"slices"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// n observations of the same length.
func times(n int, seconds float64) (d recording.Dist) {
	for range n {
		d.Observe(seconds)
	}
	return d
}

func stage(name, peer string, d recording.Dist) recording.Stage {
	return recording.Stage{Stage: name, Peer: peer, Requests: d.Count, Dist: d}
}

func endpoint(name string, latency recording.Dist, stages ...recording.Stage) recording.Endpoint {
	return recording.Endpoint{Endpoint: name, Requests: latency.Count, Latency: latency, Stages: stages}
}

func TestPriority(t *testing.T) {
	chat := "POST /api/v1/chat"
	for name, c := range map[string]struct {
		latency float64
		share   float64
		status  map[string]int64
		want    string
	}{
		"large and over the target":       {1.2, .5, nil, "P0"},
		"large, target met":               {.4, .5, nil, "P1"},
		"large, target met, but errors":   {.4, .5, map[string]int64{"503": 1}, "P0"},
		"large, target met, client's 4xx": {.4, .5, map[string]int64{"429": 1}, "P1"},
		"middling":                        {1.2, .15, nil, "P1"},
		"small":                           {1.2, .05, nil, "P2"},
		"just below the edge":             {1.2, .029, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(chat, times(10, c.latency), stage("pool_wait", "redis", times(10, c.latency*c.share)), stage("on_cpu", "", times(10, c.latency*(1-c.share))))
			e.Status = c.status
			got := ""
			for _, b := range Rank(&recording.Recording{Endpoints: []recording.Endpoint{e}}) {
				if b.Kind == KindPool {
					got = b.Priority
				}
			}
			if got != c.want {
				t.Errorf("priority %q, want %q", got, c.want)
			}
		})
	}
}

func TestRankFollowsSeconds(t *testing.T) {
	rec := &recording.Recording{Endpoints: []recording.Endpoint{
		endpoint("GET /a", times(10, 1), stage("upstream", "qdrant", times(10, .5)), stage("receive_queue", "", times(10, .1)), stage("loop_wait", "", times(10, .2)), stage("unexplained", "", times(10, .2))),
		endpoint("GET /b", times(10, .3), stage("upstream", "qdrant", times(10, .2)), stage("pool_wait", "redis", times(10, .1))),
	}}
	var got []string
	for i, b := range Rank(rec) {
		got = append(got, b.Kind)
		if b.Rank != i+1 || b.Prediction != nil {
			t.Errorf("%s: rank %d, prediction %v", b.Kind, b.Rank, b.Prediction)
		}
		if i == 0 && !slices.Equal(b.Endpoints, []string{"GET /a", "GET /b"}) {
			t.Errorf("endpoints %v: longest wait first", b.Endpoints)
		}
	}
	if want := []string{KindDependency, KindEventLoop, KindUnexplained, KindPool}; !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v (receive_queue and loop_wait are one cause)", got, want)
	}
}

// Seconds are those of the requests that were followed; that the others waited, too, is said.
func TestUnfollowedIsSaid(t *testing.T) {
	e := endpoint("GET /a", times(10, 2), stage("upstream", "qdrant", times(2, 1)), stage("on_cpu", "", times(2, .5)))
	const said = "followed"
	if got := Rank(&recording.Recording{Endpoints: []recording.Endpoint{e}}); slices.ContainsFunc(got[0].Evidence, func(s string) bool { return strings.Contains(s, said) }) {
		t.Errorf("all requests were followed: %v", got[0].Evidence)
	}
	e.Followed = &recording.Followed{Requests: 2, Seconds: 3}
	says(t, Rank(&recording.Recording{Endpoints: []recording.Endpoint{e}}), KindDependency, "3.00 s of the 20.0 s that all requests")
}

func TestNothingToRank(t *testing.T) {
	if got := append(Rank(nil), Rank(&recording.Recording{})...); len(got) != 0 {
		t.Errorf("found %v in nothing", got)
	}
}

// says fails when no sentence of the only finding of that kind holds each of the texts.
func says(t *testing.T, found []recording.Bottleneck, kind string, texts ...string) {
	t.Helper()
	for _, b := range found {
		if b.Kind != kind {
			continue
		}
		all := strings.Join(b.Evidence, "\n") + "\n" + b.Where + "\n" + b.Recommendation
		for _, want := range texts {
			if !strings.Contains(all, want) {
				t.Errorf("nothing says %q:\n%s", want, all)
			}
		}
		return
	}
	t.Errorf("no finding of kind %s in %+v", kind, found)
}

func TestPoolEvidence(t *testing.T) {
	rec := &recording.Recording{
		Endpoints: []recording.Endpoint{endpoint("POST /chat", times(100, .2), stage("pool_wait", "redis", times(80, .2)))},
		Pools: []recording.Pool{{Peer: "redis", Address: "127.0.0.1:6379", Limit: 10, InUseMax: 10, WaitersMax: 37, Timeouts: 2,
			Waits:   []recording.PoolWait{{Endpoint: "POST /chat", Acquisitions: 100, Waited: 80, Dist: times(80, .2)}},
			Holders: []recording.Holder{{Endpoint: "GET /x", Seconds: 9}, {Endpoint: "POST /chat", Seconds: 1}}}},
	}
	rec.Endpoints[0].Calls = []recording.Call{{Peer: "redis", Operation: "GET", Count: 100, Latency: times(100, .001)}}
	says(t, Rank(rec), KindPool, "redis 127.0.0.1:6379", "10 of 10 connections in use while up to 37 requests waited", "80 of 100 acquisitions waited (80 %): p50 200 ms",
		"GET /x held them for 90 %", "p95 1.00 ms", "2 acquisitions likely gave up", "above 10; up to 47", "held for 10.0 s when the calls on them took 100 ms")

	rec.Pools[0].Holders = nil
	says(t, Rank(rec), KindPool, "answered fast, so it can take them")
	rec.Endpoints[0].Calls[0].Latency = times(100, .05)
	says(t, Rank(rec), KindPool, "only moves the queue into redis")
	rec.Pools[0].Unit = "streams"
	says(t, Rank(rec), KindPool, "allows 10 concurrent streams")
	rec.Pools = nil
	says(t, Rank(rec), KindPool, "was not measured")
}

// llmAt is one load level: the first token after first seconds, then a token each pace.
func llmAt(name string, requests int, first, pace float64) *recording.Recording {
	e := endpoint("POST /chat", times(requests, first), stage("upstream", "ollama", times(requests, first)))
	e.LLM = &recording.LLM{Streams: int64(requests), TimeToFirstToken: times(requests, first), TimePerToken: times(requests*10, pace), OutputTokens: int64(requests * 10)}
	return &recording.Recording{Window: recording.Window{Seconds: 10}, Scenario: &recording.Scenario{Name: name}, Endpoints: []recording.Endpoint{e}}
}

func TestLLMQueueOrGeneration(t *testing.T) {
	for name, c := range map[string]struct {
		high *recording.Recording
		want []string
	}{
		"queue":      {llmAt("peak", 200, 2, .011), []string{"queue inside the LLM server", "From baseline to peak, the p50 time to first token went from 100 ms to 2.00 s (× 20.0)"}},
		"generation": {llmAt("peak", 200, .3, .2), []string{"Generation itself"}},
		"prompt":     {llmAt("peak", 200, .15, .01), []string{"Reading the prompt"}},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, Rank(c.high, c.high, llmAt("baseline", 20, .1, .01)), KindLLM, c.want...)
		})
	}
	one := llmAt("only", 50, .1, .01)
	one.Endpoints[0].LLM.TimeToFirstToken.Merge(times(50, 2))
	says(t, Rank(one), KindLLM, "queue inside the LLM server")
	one.Endpoints[0].LLM = nil
	says(t, Rank(one), KindLLM, "cannot be told apart")
}

func TestProcessEvidence(t *testing.T) {
	rec := &recording.Recording{
		Host: recording.Host{CPUs: 2}, Scenario: &recording.Scenario{CPUBusyRatio: .97, LoaderCPURatio: .4}, Timeline: []recording.Tick{{CPU: .5}, {CPU: 1.2}},
		Endpoints: []recording.Endpoint{endpoint("GET /", times(10, 1), stage("run_queue", "", times(10, .5)), stage("on_cpu", "", times(10, .2)), stage("receive_queue", "", times(10, .3)))},
	}
	found := Rank(rec)
	says(t, found[:1], KindCPU, "waited for a core for 5.00 s", "CPUs (2) were 97 % busy, 0.40 cores of it the loader", "up to 1.20 cores")
	says(t, found, KindEventLoop, "lay unread in their sockets for 3.00 s", "waits for a core")
	says(t, found[2:], KindCPU, "GET / ran 200 ms a request")
}

func TestDependencyEvidence(t *testing.T) {
	e := endpoint("GET /", times(10, .1), stage("upstream", "redis", times(10, .1)))
	e.Calls = []recording.Call{{Peer: "redis", Operation: "GET", Count: 100, Errors: 3, Latency: times(100, .01)}}
	rec := &recording.Recording{Endpoints: []recording.Endpoint{e}, Backends: []recording.Backend{{Peer: "redis",
		Rates: map[string]float64{"redis_evicted_keys_total": 3, "keyspace_hits": 8, "keyspace_misses": 2}}}}
	says(t, Rank(rec), KindDependency, "GET: 100 calls, p50 10.0 ms", "3 of 100 calls answered an error", "evicted 3.00 keys a second", "hit rate over the window was 80 %", "up to 10 calls")
}

func TestPoolTroubles(t *testing.T) {
	p := &recording.Pool{
		Peer: "redis", Limit: 2,
		Holders: []recording.Holder{
			{Endpoint: "GET /a", Seconds: 9, DelayedSeconds: 1, Operations: []recording.Held{{Operation: "GET", Seconds: 9, DelayedSeconds: 1}}},
			{Endpoint: "GET /b", Seconds: 3, DelayedSeconds: 3, Operations: []recording.Held{{Operation: "BLPOP", Seconds: 3, DelayedSeconds: 3}}},
		},
		Leaks: []recording.Leak{{Endpoint: "GET /leak", Operation: "PING"}},
		Waits: []recording.PoolWait{{Endpoint: "GET /a", Acquisitions: 4, Waited: 2, Unsure: 0.5, Dist: times(2, 1)}},
	}
	if got, want := heldMeanwhile(p), "While others waited, GET /b had them for 75 % of the time, by BLPOP."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	said := strings.Join(append(waitsOf(p), poolAdvice(p, "connections", 12, called{})), " ")
	for _, want := range []string{"GET /leak likely never gave back a connection after PING", "Give back the connections that GET /leak took (1 of 2", "25 % of the time waited is unsure"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q: %s", want, said)
		}
	}
}

func TestUnexplainedReasons(t *testing.T) {
	rec := &recording.Recording{Endpoints: []recording.Endpoint{{Endpoint: "GET /a", Stages: []recording.Stage{
		{Stage: request.Unexplained, Reasons: []recording.Reason{{Reason: string(request.Timer), Requests: 1, Seconds: 1}, {Reason: string(request.LockOrSemaphore), Requests: 3, Seconds: 2}}},
	}}}}
	got := strings.Join(reasons(&wait{cause: causeOf(recording.Stage{Stage: request.Unexplained})}, rec), " ")
	if want := "2.00 s of it, in 3 requests, was ended by another request"; !strings.HasPrefix(got, want) || !strings.Contains(got, "timer") {
		t.Errorf("%q, want it to begin with %q and to name the timer", got, want)
	}
}
