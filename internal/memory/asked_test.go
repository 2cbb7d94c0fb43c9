package memory

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

// A third of a request that lies in a window counts as a third, of the time that it takes without the traps.
func TestWatchedPart(t *testing.T) {
	windows := []recording.AllocationWindow{{Begin: 1, Seconds: .2, Own: .1}, {Begin: 2, Seconds: .1, Own: .1}}
	for _, c := range []struct {
		name             string
		start, end, want float64
	}{
		{"whole", 1.02, 1.1, 1},
		{"before", .8, 1, 0},
		{"between", 1.3, 1.9, 0},
		{"at an instant outside", 3, 3, 0},
		{"half of its own time", 1.1, 1.25, .5},         // 50 ms of 100, as 50 of the 150 went to traps
		{"in two", 1.1, 2.1, .15 / .95},                 // 50 + 100 ms of 950
		{"around all", 0, 10, .2 / 9.9},                 // of which traps took 100 ms
		{"its end in the second", 1.9, 2.05, .05 / .15}, // without traps
	} {
		if got := watched(Asked{Start: int64(c.start * 1e9), End: int64(c.end * 1e9)}, windows); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %.4f, want %.4f", c.name, got, c.want)
		}
	}
}

// Requests of two endpoints at random, of which one asks for three times as much and varies: the intervals of 95 % hold
// the truth as often as they say, and the mean is nearer to it than the bytes in the windows.
func TestPerRequest(t *testing.T) {
	const runs = 400
	held, shares, off, plain := 0, 0, 0., 0.
	for seed := range uint64(runs) {
		r := rand.New(rand.NewPCG(seed, 3))
		var windows []recording.AllocationWindow
		for i := range 5 {
			windows = append(windows, recording.AllocationWindow{PID: 1, Begin: float64(4 * i), Seconds: .1, Own: .1})
		}
		var asked []Asked
		list := []recording.EndpointAllocation{{Endpoint: "GET /a"}, {Endpoint: "GET /b"}, {Endpoint: "(event loop)", Bytes: 5}}
		answered := map[string]int64{}
		for at := 0.; at < 20; at += r.ExpFloat64() / 100 {
			a := Asked{PID: 1, Start: int64(at * 1e9), End: int64((at + .01 + .03*r.Float64()) * 1e9), Endpoint: "GET /a"}
			bytes := 10e3
			if r.IntN(2) == 1 {
				a.Endpoint, bytes = "GET /b", 30e3*(.5+r.Float64())
			}
			// Asked for at instants that are spread over it.
			for range 20 {
				when := float64(a.Start)/1e9 + r.Float64()*float64(a.End-a.Start)/1e9
				for _, w := range windows {
					if when >= w.Begin && when < w.Begin+w.Seconds {
						a.Bytes += int64(bytes / 20)
					}
				}
			}
			answered[a.Endpoint]++
			for i := range list {
				if list[i].Endpoint == a.Endpoint {
					list[i].Bytes += a.Bytes
				}
			}
			asked = append(asked, a)
		}
		PerRequest(list, asked, windows, answered)
		b := list[1]
		if b.PerRequest == nil || b.Share == nil || list[2].PerRequest != nil {
			t.Fatalf("%+v", list)
		}
		na, nb := float64(answered["GET /a"]), float64(answered["GET /b"])
		truth := 30e3 * nb / (30e3*nb + 10e3*na)
		if e := b.PerRequest; e.Low <= 30e3 && 30e3 <= e.High {
			held++
		}
		if e := b.Share; e.Low <= truth && truth <= e.High {
			shares++
		}
		off += math.Abs(b.Share.Estimate - truth)
		plain += math.Abs(float64(b.Bytes)/float64(b.Bytes+list[0].Bytes) - truth)
	}
	t.Logf("held %d, shares %d of %d; off by %.4f, the bytes in the windows by %.4f", held, shares, runs, off/runs, plain/runs)
	if held < runs*90/100 || shares < runs*90/100 {
		t.Errorf("intervals of 95 %% hold the bytes by request %d times, the share %d times, of %d", held, shares, runs)
	}
	if off > .6*plain {
		t.Errorf("shares are off by %.4f, those of the bytes in the windows by %.4f", off/runs, plain/runs)
	}
}

// Of three requests nothing is sure; they count among all.
func TestPerRequestOfFew(t *testing.T) {
	windows := []recording.AllocationWindow{{PID: 1, Begin: 0, Seconds: 1, Own: 1}}
	var asked []Asked
	for i := range int64(7) {
		a := Asked{PID: 1, Start: 1e8 * (i + 1), End: 1e8*(i+1) + 1e7, Endpoint: "GET /a", Bytes: 1000}
		if i >= 4 {
			a.Endpoint = "GET /few"
		}
		asked = append(asked, a)
	}
	list := []recording.EndpointAllocation{{Endpoint: "GET /a"}, {Endpoint: "GET /few"}}
	PerRequest(list, asked, windows, map[string]int64{"GET /a": 30, "GET /few": 10})
	if a, few := list[0], list[1]; a.PerRequest == nil || *a.PerRequest != (recording.Estimate{Estimate: 1000, Low: 1000, High: 1000}) ||
		a.Share == nil || math.Abs(a.Share.Estimate-.75) > 1e-9 || few.Requests != 3 || few.PerRequest != nil || few.Share != nil {
		t.Errorf("%+v", list)
	}
}
