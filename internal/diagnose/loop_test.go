package diagnose

import (
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

func TestEventLoopEvidence(t *testing.T) {
	recorded := func(stageName string, blocks ...recording.LoopBlock) *recording.Recording {
		l := &recording.EventLoop{Blocks: blocks}
		l.Lag.ObserveN(0, 90)
		l.Lag.ObserveN(.08, 10)
		return &recording.Recording{EventLoop: l, Endpoints: []recording.Endpoint{
			endpoint("GET /", times(10, 1), stage(stageName, "", times(10, .8)), stage("on_cpu", "", times(10, .2))),
		}}
	}
	asleep := recording.LoopBlock{Endpoint: "GET /", Function: "fetch (api/db.py)", Count: 12, Seconds: 1.2, Longest: .18, Asleep: 1.1}
	busy := recording.LoopBlock{Endpoint: "POST /", Function: "rank (api/search.py)", Count: 1, Seconds: 2, Longest: 2}
	held := "fetch (api/db.py) held the event loop 12 times for more than 50 ms, 1.20 s in all, 180 ms at most, on GET /; 1.10 s of it asleep in a call."
	found := Rank(recorded("blocked", asleep))
	says(t, found, KindEventLoop, held, "A timer of the event loop fired late by 80.0 ms at p95", "fetch (api/db.py) calls something that sleeps on the event loop")
	found = Rank(recorded("receive_queue", asleep, busy))
	says(t, found, KindEventLoop, held, "rank (api/search.py) held the event loop 1 time", "rank (api/search.py) computes on the event loop")
	says(t, Rank(recorded("receive_queue")), KindEventLoop, "The event loop is busy with Python code")
	says(t, Rank(recorded("receive_queue", recording.LoopBlock{Count: 1, Seconds: 1, Longest: 1})), KindEventLoop, "Code of no request held the event loop")
	starved := recording.LoopBlock{Count: 1, Seconds: 1, Longest: 1, Queued: .9}
	says(t, Rank(recorded("receive_queue", starved)), KindEventLoop, "900 ms of it without a CPU", "the event loop could run and had no CPU")
}
