package diagnose

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// Advice for asyncio is for CPython only.
func TestAdviceFitsTheRuntime(t *testing.T) {
	for _, s := range []string{"on_cpu", "run_queue", "blocked", "receive_queue", "loop_wait", "accept_queue", "send", "unexplained"} {
		for runtime, python := range map[string]bool{"CPython 3.11.7, uvloop": true, "not CPython": false} {
			rec := &recording.Recording{Target: recording.Target{Runtime: runtime, Address: "127.0.0.1:80"},
				Endpoints: []recording.Endpoint{endpoint("GET /a", times(10, 1), stage(s, "", times(10, 1)))}}
			found := Rank(rec)
			if len(found) == 0 {
				t.Fatalf("%s: nothing is ranked", s)
			}
			says := strings.ToLower(found[0].Where + " " + found[0].Recommendation)
			for _, word := range []string{"asyncio", "event loop", "await ", "python"} {
				if !python && strings.Contains(says, word) {
					t.Errorf("%s of a target that is %s: %q", s, runtime, says)
				}
			}
			if found[0].Recommendation == "" || found[0].Where == "" {
				t.Errorf("%s of a target that is %s: no advice", s, runtime)
			}
		}
	}
}
