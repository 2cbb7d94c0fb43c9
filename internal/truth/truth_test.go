package truth

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	ServeAgent()
	os.Exit(m.Run())
}

// everyPath is one of each pattern, waits and what only looks like them.
var everyPath = []string{
	"/hold", "/items/1", "/sleep", "/gather", "/hold", "/lock", "/semaphore", "/cpu", "/executor", "/thread", "/stream", "/health",
}

// TestTruthShort holds the agent to the truth on one application, with bounds that a starved
// machine keeps; the figures themselves are made by make bench.
func TestTruthShort(t *testing.T) {
	f, err := RunTruth(context.Background(), t.TempDir(), Settings{Pool: 1}, Load{Rate: 40, For: 5 * time.Second, Paths: everyPath, Seed: 1})
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, THE AGENT IS NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.By {
		t.Logf("%-20s seen %d/%d calls %d/%d wrong %d wait %.3f/%.3f s error p50 %.2f p90 %.2f p99 %.2f ms false %d missed %d/%d unexplained %.1f %%",
			c.Endpoint, c.Seen, c.Sent, c.CallsLinked, c.CallsMade, c.CallsWrong, c.SeenWait, c.TrueWait,
			c.Error.Median*1e3, c.Error.P90*1e3, c.Error.P99*1e3, c.FalseWaits, c.MissedWaits, c.TrueWaits, 100*c.Unexplained/c.Seconds)
	}
	all := f.By[0]
	switch {
	case f.Failed > 0:
		t.Errorf("%d of %d requests failed", f.Failed, f.Sent)
	case all.Sent != f.Sent:
		t.Errorf("the application knows %d of %d requests", all.Sent, f.Sent)
	}
	if all.Seen < all.Sent || all.Twice > 0 {
		t.Errorf("the agent saw %d of %d requests, %d of them twice", all.Seen, all.Sent, all.Twice)
	}
	if all.SumViolations > 0 {
		t.Errorf("the stages of %d requests do not sum to their total", all.SumViolations)
	}
	if float64(all.CallsLinked) < 0.99*float64(all.CallsMade) || all.CallsWrong > 0 {
		t.Errorf("%d of %d calls are linked, %d to a wrong request", all.CallsLinked, all.CallsMade, all.CallsWrong)
	}
	if all.TrueWaits == 0 {
		t.Error("nothing waited: the run proves nothing")
	}
	if all.MissedWaits > all.TrueWaits/20 || all.FalseWaits > all.Sent/50 {
		t.Errorf("%d of %d waits are missed, %d of %d requests have a false one", all.MissedWaits, all.TrueWaits, all.FalseWaits, all.Sent)
	}
	if all.Error.Median > 0.003 {
		t.Errorf("the median error of a wait is %.2f ms", all.Error.Median*1e3)
	}
}
