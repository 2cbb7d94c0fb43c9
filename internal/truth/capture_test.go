package truth

import (
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

// TestReplays replays a captured run of every client: each request is seen once, its stages sum to its total,
// no call is a wrong request's. The figures stand in replays.txt; a change of the heart that makes them other
// is seen in its difference, and written by -rejudge.
func TestReplays(t *testing.T) {
	dir := filepath.Join("testdata", "captures")
	var page strings.Builder
	for _, c := range capturedRows() {
		if *recapture != "" && regexp.MustCompile(*recapture).MatchString(c.name()) {
			if err := c.captured(t.Context(), t.TempDir(), dir); err != nil {
				t.Errorf("%s: %v", c.name(), err)
				continue
			}
		}
		k, err := readCapture(filepath.Join(dir, c.file()))
		if err != nil {
			t.Errorf("%v: make it with -recapture", err)
			continue
		}
		r, err := k.figures(c)
		if err != nil {
			t.Errorf("%s: %v", c.name(), err)
			continue
		}
		if r.Seen != r.Sent || r.Twice > 0 || r.Sums > 0 || r.Calls.Wrong > 0 {
			t.Errorf("%s: %d of %d requests seen, %d twice, the stages of %d do not sum to their total, %d calls of %d are a wrong request's", r.Name, r.Seen, r.Sent, r.Twice, r.Sums, r.Calls.Wrong, r.Calls.Made)
		}
		fmt.Fprintf(&page, "%s: %d of %d calls linked; waits: %d of %d missed, %d false, error p50 %s p99 %s ms; %.1f %% unexplained%s\n", r.Name, r.Calls.Linked, r.Calls.Made,
			r.Wait.Missed, r.Wait.Waited, r.Wait.False, ms(r.Wait.Error.Median), ms(r.Wait.Error.P99), 100*ratio(r.Unexplained, r.Seconds), lossText(r.Losses))
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
