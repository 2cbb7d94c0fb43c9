package memoryfile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// fixture is a recording with everything that a picture can show.
func fixture() *recording.Recording {
	r := rand.New(rand.NewPCG(1, 2))
	m := recording.Memory{
		MemoryGrowth: recording.MemoryGrowth{
			Verdict: "leak suspected", Reason: "it grew by 101 kB a second (92.0 kB to 110 kB with 95 % confidence), 1.01 MB per 1,000 requests, without slowing down, for 2:20 min and 14,000 requests; left out as the warm-up: the first 40 s, in which it grew by 41.2 MB; at this rate the limit of 2.00 GB (--memory-limit) is reached in 4 hours",
			GrowthBytesPerSecond: &recording.Estimate{Estimate: 101e3, Low: 62e3, High: 140e3}, GrowthPerThousand: &recording.Estimate{Estimate: 1.01e6, Low: .92e6, High: 1.1e6},
			Trend: &recording.Trend{From: 40, To: 180, BytesFrom: 622e6, BytesTo: 636e6, WarmUp: "the first 40 s, in which it grew by 41.2 MB"},
		},
		Processes: []recording.MemoryProcess{{PID: 4711, Name: "uvicorn"}, {PID: 4712, Name: "python3"}},
		Composition: &recording.MemoryParts{T: 180, RSS: 636e6, PSS: 402e6, File: 58e6, Anonymous: 570e6, Shared: 8e6, Parts: []recording.MemoryPart{
			{Kind: "Python: object arenas (pymalloc)", Bytes: 301e6, Mappings: 80, Basis: "multiples"}, {Kind: "malloc: main heap (brk)", Bytes: 201e6, Mappings: 2, Basis: "[heap]"},
			{Kind: "large blocks and other anonymous memory", Bytes: 60e6, Mappings: 12}, {Kind: "programs and libraries", Bytes: 58e6, Mappings: 300},
			{Kind: "shared memory", Bytes: 8e6, Mappings: 1}, {Kind: "changed copies of file pages", Bytes: 8e6, Mappings: 60},
		}},
		Limits: []recording.MemoryLimit{
			{What: "asked for", Basis: "--memory-limit", Bytes: 2e9, Peak: 636e6, Of: "RSS of all processes", Share: .318},
			{What: "cgroup", Basis: "/sys/fs/cgroup/app.slice/web.service/memory.max", Bytes: 4e9, Peak: 636e6, Of: "RSS of all processes", Share: .159},
		},
		Containers: []recording.Container{{PID: 4711, Type: "list", Name: "app.history.kept", Before: 1_512, After: 15_430, Users: []string{"History.add", "remember"}}, {PID: 4712, Type: "collections.OrderedDict", Before: 0, After: 240}},
		Hotspots: []recording.Hotspot{
			{Function: "remember (app/history.py)", Endpoint: "POST /api/v1/chat", Bytes: 14e6, Samples: 212, Stack: []string{"chat", "remember"}},
			{Stack: []string{"main", "std::vector<std::pair<int, float>>::reserve(unsigned long)"}, Endpoint: "(event loop)", Bytes: 3e6},
		},
	}
	rec := &recording.Recording{
		Target: recording.Target{Service: "rag-api <test>", Address: "127.0.0.1:8000", Runtime: "CPython 3.11.7, uvloop", PIDs: []int{4711, 4712}},
		Window: recording.Window{Start: time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC), Seconds: 180}, Endpoints: []recording.Endpoint{{Requests: 18_000}},
		NotMeasured: []recording.NotMeasured{{What: "memory limit of the cgroup", Why: "the cgroup of the target has no memory controller, or lies outside of what can be seen here"}},
	}
	for i := range 181 {
		t := float64(i)
		rss := 580e6 + 41e6*math.Min(t/40, 1) + 101e3*max(t-40, 0) + 4e5*r.NormFloat64()
		tick := recording.MemoryTick{T: t, RSS: uint64(rss), Heap: uint64(rss - 66e6), VMS: 2_400e6, Threads: 18, FDs: 40 + i%6, Active: int64(20 + r.IntN(9))}
		if i%90 == 0 {
			tick.PSS = uint64(rss * .63)
		}
		m.Timeline = append(m.Timeline, tick)
		for k := range m.Processes {
			half := tick
			half.RSS = uint64(rss * (.6 - .2*float64(k)))
			m.Processes[k].Timeline = append(m.Processes[k].Timeline, half)
		}
		if i < 180 {
			rec.Timeline = append(rec.Timeline, recording.Tick{T: t, Requests: 95 + int64(r.IntN(11))})
		}
	}
	rec.Memory = m
	return rec
}

func draw(t *testing.T, r *recording.Recording, scenarios []*recording.Recording) string {
	t.Helper()
	var out bytes.Buffer
	if err := Draw(&out, r, scenarios); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(out.Bytes()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return out.String()
		} else if err != nil {
			t.Fatalf("no XML: %v", err)
		}
	}
}

// The picture of everything is as it was looked at; open testdata/memory_profile.svg after an update.
func TestPicture(t *testing.T) {
	golden(t, "testdata/memory_profile.svg", []byte(draw(t, fixture(), nil)))
}

// The line is of less time than it spans where a crowd's was left out.
func TestPictureOfCrowd(t *testing.T) {
	r := fixture()
	if svg := draw(t, r, nil); strings.Contains(svg, "growing crowd") {
		t.Error("a crowd that was not there is told")
	}
	r.Memory.Trend.Crowded = 72
	if svg := draw(t, r, nil); !strings.Contains(svg, "of a growing crowd") {
		t.Error("what was left out is not told")
	}
}

// What is missing says so and why; foreign text does no harm; nothing comes from elsewhere.
func TestPictureOfLittle(t *testing.T) {
	evil := `</text><script>alert(1)</script>` + "\x00"
	for name, r := range map[string]*recording.Recording{
		"nothing":     {},
		"one reading": {Memory: recording.Memory{Timeline: []recording.MemoryTick{{RSS: 5}}}},
		"two readings": {Window: recording.Window{Seconds: 1}, Memory: recording.Memory{
			Timeline: []recording.MemoryTick{{RSS: 5}, {T: 1, RSS: 5}}, MemoryGrowth: recording.MemoryGrowth{Verdict: "too short to say", Reason: "2 readings"},
		}},
		"evil": {
			Target: recording.Target{Service: evil, Runtime: evil, Address: evil},
			Memory: recording.Memory{Hotspots: []recording.Hotspot{{Function: evil, Endpoint: evil}}, Processes: []recording.MemoryProcess{{Name: evil}, {Name: evil}}, Timeline: []recording.MemoryTick{{}, {T: 1}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			svg := draw(t, r, []*recording.Recording{{Scenario: &recording.Scenario{Name: evil}}})
			for _, never := range []string{"<script", "NaN", "Inf", "href", "url(", "@import"} {
				if strings.Contains(svg, never) {
					t.Errorf("it holds %q", never)
				}
			}
			if name != "evil" && !strings.Contains(svg, "not measured: ") {
				t.Error("it does not say what is not measured")
			}
		})
	}
}

func TestWrap(t *testing.T) {
	got := strings.Join(wrap("it grew by 101 kB a second for 2:20 min, averyverylongword indeed", 14), "|")
	if want := "it grew by|101\u00a0kB a|second for|2:20\u00a0min,|averyverylongw|ord indeed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
