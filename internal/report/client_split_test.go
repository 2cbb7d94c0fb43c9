package report

import (
	"math"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

func TestSplitOf(t *testing.T) {
	e := &recording.Endpoint{
		Latency: recording.Dist{Count: 100, Sum: 50}, Requests: 100,
		Client: &recording.Client{Response: recording.Dist{Count: 100, Sum: 80}, Service: recording.Dist{Count: 100, Sum: 60}},
		Stages: []recording.Stage{{Stage: "accept_queue", Dist: recording.Dist{Sum: 2}}, {Stage: "receive_queue", Dist: recording.Dist{Sum: 3}}, {Stage: "on_cpu", Dist: recording.Dist{Sum: 45}}},
	}
	s := splitOf(e)
	if s == nil {
		t.Fatal("it cannot be split")
	}
	for what, d := range map[string]float64{"late": s.late - .2, "outside": s.outside - .1, "accept": s.accept - .02, "receive": s.receive - .03, "application": s.application - .45,
		"the sum": s.late + s.outside + s.accept + s.receive + s.application - s.response} {
		if math.Abs(d) > 1e-12 {
			t.Errorf("%s is off by %g", what, d)
		}
	}
	e.Client.Service.Count = 90
	if splitOf(e) != nil {
		t.Error("10 of 100 requests are another client's, and the means were compared")
	}
	e.Client = nil
	if splitOf(e) != nil {
		t.Error("no loader took part")
	}
}
