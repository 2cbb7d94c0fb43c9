package truth

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	recapture = flag.String("recapture", "", "run the rows whose name matches this regular expression, and keep their events as captures")
	rejudge   = flag.Bool("rejudge", false, "write anew what the captures are judged to be")
)

// A replay is one captured row.
type replay struct {
	name    string
	capture func(ctx context.Context, dir, to string) error
	judge   func(k *capture) (*Row, error)
}

func replays() (out []replay) {
	for _, c := range capturedRows() {
		out = append(out, replay{c.name(), c.captured, func(k *capture) (*Row, error) { return k.figures(c) }})
	}
	for i := range servers {
		s := &servers[i]
		out = append(out, replay{s.Name, s.captured, func(k *capture) (*Row, error) { return k.inbound(s) }})
	}
	for _, p := range capturedPools() {
		out = append(out, replay{p.name(), p.captured, func(k *capture) (*Row, error) { return k.pools(p) }})
	}
	return out
}

// line is what a row's replay is judged to be.
func line(r *Row) string {
	if w := r.Wait; w != nil {
		linked := r.Note // of the pools
		if r.Calls != nil {
			linked = fmt.Sprintf("%d of %d calls linked", r.Calls.Linked, r.Calls.Made)
		}
		return fmt.Sprintf("%s: %s; waits: %d of %d missed, %s false, %.1f %% unsure, error p50 %s p99 %s ms; %.1f %% unexplained%s\n", r.Name, linked, w.Missed, w.Waited, w.falses(),
			100*ratio(w.Doubts, w.Seen), ms(w.Error.Median), ms(w.Error.P99), 100*ratio(r.Unexplained, r.Seconds), lossText(r.Losses))
	}
	return fmt.Sprintf("%s: %d of %d requests seen, %d incomplete; %.1f %% unexplained%s; %s\n", r.Name, r.Seen, r.Sent, r.Incomplete, 100*ratio(r.Unexplained, r.Seconds), lossText(r.Losses), r.Note)
}

// TestReplays replays a captured run of every client and server: each request is seen once, its stages sum to its total,
// no call is a wrong request's. The figures stand in replays.txt; a change of the heart that makes them other
// is seen in its difference, and written by -rejudge.
func TestReplays(t *testing.T) {
	dir := filepath.Join("testdata", "captures")
	var page strings.Builder
	for _, x := range replays() {
		if *recapture != "" && regexp.MustCompile(*recapture).MatchString(x.name) {
			if err := x.capture(t.Context(), t.TempDir(), dir); err != nil {
				t.Errorf("%s: %v", x.name, err)
				continue
			}
		}
		k, err := readCapture(filepath.Join(dir, fileOf(x.name)))
		if err != nil {
			t.Errorf("%v: make it with -recapture", err)
			continue
		}
		r, err := x.judge(k)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		if r.Seen != r.Sent || r.Twice > 0 || r.Sums > 0 || r.Calls != nil && r.Calls.Wrong > 0 {
			t.Errorf("%s: %d of %d requests seen, %d twice, the stages of %d do not sum to their total, calls %+v", r.Name, r.Seen, r.Sent, r.Twice, r.Sums, r.Calls)
		}
		page.WriteString(line(r))
	}
	path := filepath.Join(dir, "replays.txt")
	if *rejudge {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if page.String() != string(want) {
		t.Errorf("other figures than in %s (-rejudge writes them anew):\n%s", path, page.String())
	}
}
