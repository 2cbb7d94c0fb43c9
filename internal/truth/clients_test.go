package truth

import (
	"errors"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel"
)

// TestClientsShort holds the links of a client on the loop, one in threads, and one that shares its
// connection to what crossed the wire. All clients are in the bench.
func TestClientsShort(t *testing.T) {
	for _, c := range []callers{
		{client: "httpx async", peer: "web", concurrency: 8, requests: 240, pool: 2, precision: kernel.Full},
		{client: "redis-py", peer: "redis", sync: true, concurrency: 8, requests: 260, pool: 2, precision: kernel.Full},
		{client: "grpc.aio", peer: "rpc", concurrency: 16, requests: 240, pool: 1, streams: 2, precision: kernel.Full},
	} {
		t.Run(c.client, func(t *testing.T) {
			r, err := c.run(t.Context(), t.TempDir())
			if errors.Is(err, ErrMissing) {
				t.Skipf("SKIPPED, THE CALLS OF THIS CLIENT ARE NOT HELD TO THE TRUTH: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			k := r.Calls
			t.Logf("seen %d/%d, linked %d/%d %v, wrong %d, %s", r.Seen, r.Sent, k.Linked, k.Made, k.ByBasis, k.Wrong, r.Note)
			if r.Failed > 0 || r.Seen < r.Sent || r.Twice > 0 || r.Sums > 0 {
				t.Errorf("%d sent, %d failed, %d seen, %d of them twice, the stages of %d do not sum to their total", r.Sent, r.Failed, r.Seen, r.Twice, r.Sums)
			}
			// A thread of run_in_executor has no context that tells whose it is: one request in thirteen.
			if least := 0.88; k.Made < r.Sent || float64(k.Linked) < least*float64(k.Made) || !c.sync && k.Linked < k.Made*99/100 {
				t.Errorf("%d of %d calls are linked", k.Linked, k.Made)
			}
			if k.Wrong > 0 {
				t.Errorf("%d calls are linked to a wrong request", k.Wrong)
			}
			if k.LateCounted < k.Late*8/10 {
				t.Errorf("%d of %d calls after the answer count for their endpoint", k.LateCounted, k.Late)
			}
		})
	}
}
