package truth

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestPoolsShort holds what the agent says of an asyncio pool and of one of threads to the truth, with
// bounds that a starved machine keeps; the figures themselves are made by make bench.
func TestPoolsShort(t *testing.T) {
	f, err := RunPools(context.Background(), t.TempDir(), Settings{}, []string{"redis", "urllib3"}, 2*time.Second)
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, POOLS ARE NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.By {
		t.Logf("%s: seen %d/%d, wait error p50 %.2f p99 %.2f ms, false %d, missed %d/%d; time-outs %+v; locks %d/%d, not there %d, as pool %d; leaks %+v; made %+v; limit %d",
			g.Client, g.Seen, g.Sent, g.Wait.Error.Median*1e3, g.Wait.Error.P99*1e3, g.Wait.False, g.Wait.Missed, g.Wait.Waited, g.Timeouts,
			g.Locks.Named, g.Locks.Known, g.Locks.False, g.Locks.AsPool, g.Leaks, g.Creates, g.Limit)
		if g.Seen < g.Sent {
			t.Errorf("%s: %d of %d requests seen", g.Client, g.Seen, g.Sent)
		}
		if g.Wait.Waited == 0 || g.Timeouts.Known == 0 {
			t.Errorf("%s: nothing waited or timed out: the run proves nothing", g.Client)
		}
		if g.Wait.Missed > g.Wait.Waited/3 || g.Wait.False > g.Sent/20 {
			t.Errorf("%s: %d of %d waits are missed, %d false", g.Client, g.Wait.Missed, g.Wait.Waited, g.Wait.False)
		}
		if g.Timeouts.False > 0 || g.Timeouts.Listed > g.Timeouts.Known || g.Leaks.False > 0 {
			t.Errorf("%s: time-outs %+v, leaks %+v: some were invented", g.Client, g.Timeouts, g.Leaks)
		}
	}
	for i, odd := range f.Odd {
		if testing.Verbose() && i < 40 {
			t.Log(odd)
		}
	}
}
