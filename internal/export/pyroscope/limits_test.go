package pyroscope

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"

	"github.com/ragscope/ragscope/internal/stack"
)

// limits are those of a Pyroscope server; it rejects with the same code and words
// (pyroscope/pkg/validation/validate.go).
type limits struct{ samples, bytes int }

var usual = limits{samples: 16_000, bytes: 4 << 20}

func (l limits) check(r *pushv1.PushRequest) error {
	for _, series := range r.Series {
		for _, raw := range series.Samples {
			if err := l.checkProfile(labelsOf(series), raw.RawProfile); err != nil {
				return connect.NewError(connect.CodeInvalidArgument, err)
			}
		}
	}
	return nil
}

func (l limits) checkProfile(labels string, raw []byte) error {
	p, err := profile.Parse(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var plain bytes.Buffer
	if err := p.WriteUncompressed(&plain); err != nil {
		return err
	}
	if plain.Len() > l.bytes {
		return fmt.Errorf("the profile with labels '%s' exceeds the size limit (max_profile_size_byte, actual: %d, limit: %d)", labels, plain.Len(), l.bytes)
	}
	if len(p.Sample) > l.samples {
		return fmt.Errorf("the profile with labels '%s' exceeds the samples count limit (max_profile_stacktrace_samples, actual: %d, limit: %d)", labels, len(p.Sample), l.samples)
	}
	return nil
}

// manyStacks is a profile of so many different stacks of long names: more than 4 MiB where they are
// as many as a profile holds. The last ones are of another endpoint.
func manyStacks(n int) *stack.Profile {
	p := stack.NewProfile(stack.OffCPU, 0, monday)
	p.End = monday.Add(pushTimeout)
	for i := range n {
		endpoint := "POST /chat"
		if i > n-20 {
			endpoint = "GET /health"
		}
		p.Add(endpoint, stack.Sample{Value: int64(i), Frames: []stack.Frame{{
			Function: fmt.Sprintf("package_with_a_long_name.module_with_a_long_name.ClassWithALongName.method_with_a_long_name.<locals>.function_%d", i),
			File:     fmt.Sprintf("/srv/applications/rag-api/venv/lib/python3.11/site-packages/package_with_a_long_name/module_with_a_long_name_%d.py", i), Kind: stack.Python,
		}}})
	}
	return p
}

// sums are the values that a server accepted, by series.
func (s *server) sums(t *testing.T) map[string]int64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int64{}
	for _, push := range s.pushes {
		if s.limits.check(push) != nil {
			continue
		}
		for _, series := range push.Series {
			for _, raw := range series.Samples {
				p, err := profile.Parse(bytes.NewReader(raw.RawProfile))
				if err != nil {
					t.Fatal(err)
				}
				for _, sample := range p.Sample {
					out[labelsOf(series)] += sample.Value[len(sample.Value)-1]
				}
			}
		}
	}
	return out
}

func TestNothingIsLostByLimits(t *testing.T) {
	for _, test := range []struct {
		name   string
		stacks int
		limits limits
		parts  int // at least
	}{
		{"the usual ones", stack.MaxStacks, usual, 3},
		{"a server that takes fewer samples", 2000, limits{samples: 250, bytes: 4 << 20}, 9},
		{"a server that takes fewer bytes", 2000, limits{samples: 16_000, bytes: 64 << 10}, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, url := start(t)
			s.limits = test.limits
			c, _ := newClient(t, Options{URL: url})
			p := manyStacks(test.stacks)
			stop := run(c)
			c.Push(p)
			for deadline := time.Now().Add(time.Minute); c.Stats().Queued > 0 && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			stop()
			sent := s.sums(t)
			for endpoint, want := range p.ByEndpoint() {
				series := "__name__=off_cpu endpoint=" + endpoint + " service_name=rag-api"
				if got := sent[series]; got != want {
					t.Errorf("%s: %d arrived, want %d", series, got, want)
				}
			}
			if got := c.Stats(); len(got.Dropped) != 0 || got.Queued != 0 || got.Sent < uint64(test.parts) {
				t.Errorf("stats %+v, want at least %d profiles and none dropped", got, test.parts)
			}
		})
	}
}

// A series that the server does not want must not take the others with it.
func TestOneRejectedSeriesDoesNotTakeTheOthersAlong(t *testing.T) {
	s, url := start(t)
	s.reject = "POST /chat"
	c, _ := newClient(t, Options{URL: url})
	c.Push(cpuProfile("GET /health", "GET /items/{id}", "POST /chat", "POST /search"))
	run(c)()
	if got := c.Stats(); got.Sent != 3 || got.Dropped[DropRejected] != 1 || got.Trouble != "" {
		t.Errorf("stats %+v, want three sent and one rejected", got)
	}
}

// A stack that alone is too large cannot be parted; it is dropped, counted, and the rest arrives.
func TestASampleThatIsTooLargeIsCounted(t *testing.T) {
	s, url := start(t)
	s.limits.bytes = 400
	c, _ := newClient(t, Options{URL: url})
	p := cpuProfile("GET /health")
	p.Add("GET /health", stack.Sample{Value: 1, Frames: []stack.Frame{{Function: string(bytes.Repeat([]byte("x"), 1000))}}})
	c.Push(p)
	run(c)()
	if got := c.Stats(); got.Sent != 1 || got.Dropped[DropRejected] != 1 {
		t.Errorf("stats %+v, want one part sent and one dropped", got)
	}
}
