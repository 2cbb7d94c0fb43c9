package web

import (
	"math"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/web/style"
)

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{seconds(0), "0"}, {seconds(8.53e-5), "85.3 µs"}, {seconds(.42), "420 ms"}, {seconds(1.239), "1.24 s"}, {seconds(.00999), "9.99 ms"}, {seconds(600), "10.0 min"}, {seconds(.9999), "1.00 s"},
		{size(0), "0 B"}, {size(999), "999 B"}, {size(61 << 20), "61.0 MiB"}, {size(-3000), "−2.93 KiB"},
		{count(950), "950"}, {count(12300), "12,300"}, {count(1_240_000), "1.24 M"}, {count(-5), "−5"},
		{percent(0), "0 %"}, {percent(.00001), "< 0.01 %"}, {percent(.0042), "0.42 %"}, {percent(.034), "3.4 %"}, {percent(.5), "50 %"},
		{digits(math.NaN()), "0"}, {digits(12345), "12345"},
	} {
		if got := strings.ReplaceAll(c.got, nbsp, " "); got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestBarsFillTheirWidth(t *testing.T) {
	v := newView(fixture(), false)
	if len(v.Endpoints) != 3 || v.Endpoints[0].Route != "/api/v1/chat/stream" && v.Endpoints[0].Route != "/api/v1/retrieval/search" {
		t.Fatalf("order: %+v", v.Endpoints)
	}
	for _, e := range v.Endpoints {
		sum := 0.
		for _, s := range e.Segments {
			sum += s.Width
		}
		if math.Abs(sum-100) > .01 {
			t.Errorf("%s: the segments fill %.2f %%", e.Route, sum)
		}
	}
	if first, last := v.Legend[0].Label, v.Legend[len(v.Legend)-1].Label; first != "receive_queue" || last != "unexplained" {
		t.Errorf("legend from %s to %s", first, last)
	}
}

func TestPoolThatIsFull(t *testing.T) {
	for _, p := range newView(fixture(), false).Pools {
		if want := p.Peer == "redis"; p.Full != want || (len(p.Waits) > 0) != want {
			t.Errorf("%+v", p)
		}
		if p.Fill > 100 {
			t.Errorf("fill %v", p.Fill)
		}
	}
}

func TestColoursAreInTheStyleSheet(t *testing.T) {
	for _, e := range newView(fixture(), false).Endpoints {
		for _, s := range e.Segments {
			for _, c := range strings.Fields(s.Class) {
				if !strings.Contains(style.CSS, "."+c+" ") {
					t.Errorf("no colour for %s", c)
				}
			}
		}
	}
	if got := class("x", "y"); got != "s-other p-http" {
		t.Errorf("unknown stage: %s", got)
	}
}

func TestSparkline(t *testing.T) {
	if got := sparkline([]float64{1}, 0); got != "" {
		t.Errorf("one value: %s", got)
	}
	if got := string(sparkline([]float64{0, 0}, 0)); strings.Contains(got, "NaN") {
		t.Error(got)
	}
	if got := string(sparkline([]float64{1, 2}, 2)); !strings.Contains(got, `class="mark"`) || !strings.Contains(got, `points="0.0,25.0 300.0,4.0"`) {
		t.Error(got)
	}
}
