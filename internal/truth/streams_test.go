package truth

import (
	"errors"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel"
)

// TestStreamsShort holds the times of streamed tokens to the clocks at both ends of the application.
func TestStreamsShort(t *testing.T) {
	f, err := RunStreams(t.Context(), t.TempDir(), StreamSettings{At: 4, Each: 6, Precision: kernel.Full})
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, TOKENS ARE NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.log(t)
	if f.Seen < f.Sent || f.Counts < f.Sent || 10*f.Chunks < 9*f.Sent {
		t.Errorf("of %d streams %d were seen, %d with the server's counts, %d with a chunk for each token", f.Sent, f.Seen, f.Counts, f.Chunks)
	}
	// Bounds that a starved machine keeps; the figures themselves are made by make bench.
	if f.First.Median > .003 || f.Arrival.Median > .001 || f.Last.Median > .001 || f.Forward.Median > .003 {
		t.Errorf("median errors: first token %.2f ms, its arrival %.2f ms, that of the last %.2f ms, forwarding %.2f ms",
			f.First.Median*1e3, f.Arrival.Median*1e3, f.Last.Median*1e3, f.Forward.Median*1e3)
	}
}

func (f *StreamFindings) log(t *testing.T) {
	t.Helper()
	ms := func(s Spread) []float64 { return []float64{s.Median * 1e3, s.P90 * 1e3, s.P99 * 1e3, s.Max * 1e3} }
	t.Logf("%d of %d streams, %d with the server's counts, %d with a chunk for each token", f.Seen, f.Sent, f.Counts, f.Chunks)
	t.Logf("first token by the client's clock: error %.2f ms", ms(f.First))
	t.Logf("arrival of the first token by the server's clock: error %.2f ms, of the last %.2f ms", ms(f.Arrival), ms(f.Last))
	t.Logf("forwarding: mean %.2f ms, error %.2f ms", f.Known*1e3, ms(f.Forward))
}
