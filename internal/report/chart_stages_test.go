package report

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// A bar is of the requests that were followed, which are not always all.
func TestBarsSayOfHowMany(t *testing.T) {
	e := &recording.Endpoint{Endpoint: "GET /a", Requests: 10, Stages: []recording.Stage{{Stage: "on_cpu", Requests: 10}}}
	e.Latency.Observe(1)
	e.Stages[0].Observe(1)
	if svg := bars([]*recording.Endpoint{e}, 0); !strings.Contains(svg, ">10 requests<") {
		t.Error("the number of requests is not told")
	}
	e.Followed = &recording.Followed{Requests: 2, Seconds: 1}
	if svg := bars([]*recording.Endpoint{e}, 0); !strings.Contains(svg, ">2 followed of 10 requests<") {
		t.Error("of how many requests the bar is, is not told")
	}
}
