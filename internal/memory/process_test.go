package memory

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// Once a process has ended nothing is read of it, whoever has its number now.
func TestEndedProcessIsNotMistaken(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	p, err := open(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	c, err := p.read()
	if err != nil || c.rss == 0 || c.name != "sleep" || c.fds < 1 {
		t.Errorf("%+v, %v", c, err)
	}
	child.Process.Kill()
	for range 100 { // a zombie has no memory
		if _, err = p.read(); errors.Is(err, errEnded) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !errors.Is(err, errEnded) {
		t.Errorf("a zombie: %v", err)
	}
	child.Wait()
	if _, err := p.read(); !errors.Is(err, errEnded) {
		t.Errorf("it is gone: %v", err)
	}
	if _, err := p.mappings(); !errors.Is(err, errEnded) {
		t.Errorf("smaps of a process that is gone: %v", err)
	}
}

// A process that ends is kept with what was last known of it, and a new one is another.
func TestSamplerKeepsWhatWasRead(t *testing.T) {
	s := NewSampler(time.Now().Add(-10*time.Second), nil)
	defer s.Close()
	for range 2 {
		child := exec.Command("sleep", "60")
		if err := child.Start(); err != nil {
			t.Skip(err)
		}
		if _, err := s.Sample([]int{child.Process.Pid, os.Getpid()}, nil); err != nil {
			t.Fatal(err)
		}
		child.Process.Kill()
		child.Wait()
	}
	tick, err := s.Sample([]int{os.Getpid()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, missing := s.Memory(5)
	if len(missing) > 0 || len(m.Processes) != 3 {
		t.Fatalf("%+v, not measured %+v", m.Processes, missing)
	}
	for _, p := range m.Processes {
		ended := p.PID != os.Getpid()
		if p.Ended != ended || len(p.Timeline) == 0 || p.From < 4.9 || p.To < p.From || ended && p.Name != "sleep" {
			t.Errorf("%+v", p)
		}
	}
	if got := m.Processes; got[2].PID == os.Getpid() && got[2].Timeline[2].T != tick.T-5 {
		t.Errorf("the clock does not begin at the window: %+v", got[2].Timeline)
	}
	if m.Composition == nil || m.Composition.T > 6 {
		t.Errorf("composition of the first look: %+v", m.Composition)
	}
	s.LookSoon()
	if tick, err := s.Sample([]int{os.Getpid()}, nil); err != nil || tick.PSS == 0 {
		t.Errorf("%+v, %v", tick, err)
	}
}

// A timeline keeps the whole life of a process in bounded room.
func TestTimelineIsBounded(t *testing.T) {
	var l timeline
	for i := range 100_000 {
		l.add(recording.MemoryTick{T: float64(i)})
		if len(l.ticks) > maxReadings {
			t.Fatalf("%d readings", len(l.ticks))
		}
	}
	if len(l.ticks) < maxReadings/2 || l.ticks[0].T != 0 || l.ticks[len(l.ticks)-1].T < 99_000 {
		t.Errorf("%d readings from %v to %v", len(l.ticks), l.ticks[0].T, l.ticks[len(l.ticks)-1].T)
	}
	gap := l.ticks[1].T - l.ticks[0].T
	for i := 1; i < len(l.ticks); i++ {
		if d := l.ticks[i].T - l.ticks[i-1].T; d != gap && i > 1 {
			t.Fatalf("readings %d and %d are %v s apart, the first %v", i-1, i, d, gap)
		}
	}
}

func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		cgroup string
		files  map[string]string
		want   uint64
		file   string
	}{
		"v2":               {"0::/app.slice/web", map[string]string{"app.slice/web/memory.max": "536870912\n", "app.slice/memory.max": "max\n"}, 512 << 20, "app.slice/web/memory.max"},
		"v2, around it":    {"0::/app.slice/web", map[string]string{"app.slice/web/memory.max": "max\n", "app.slice/memory.max": "1000000\n"}, 1e6, "app.slice/memory.max"},
		"v2, none":         {"0::/web", map[string]string{"web/memory.max": "max\n"}, 0, ""},
		"v2 in unified":    {"0::/web", map[string]string{"unified/web/memory.max": "5000\n"}, 5000, "unified/web/memory.max"},
		"v1":               {"9:cpu:/\n4:memory:/docker/1\n", map[string]string{"memory/docker/1/memory.limit_in_bytes": "7000\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 7000, "memory/docker/1/memory.limit_in_bytes"},
		"v1, container":    {"4:memory:/docker/1\n", map[string]string{"memory/memory.limit_in_bytes": "9000\n"}, 9000, "memory/memory.limit_in_bytes"},
		"a path that lies": {"0::/../../other", map[string]string{"memory.max": "4000\n"}, 4000, "memory.max"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(path, text string) {
				path = filepath.Join(dir, path)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			write("proc/7/cgroup", c.cgroup)
			for path, text := range c.files {
				write("cgroup/"+path, text)
			}
			got, file, err := cgroupLimit(filepath.Join(dir, "proc"), filepath.Join(dir, "cgroup"), 7)
			if err != nil || got != c.want || strings.TrimPrefix(file, filepath.Join(dir, "cgroup")+"/") != c.file {
				t.Errorf("%d by %s, want %d by %s: %v", got, file, c.want, c.file, err)
			}
			if _, _, err := cgroupLimit(filepath.Join(dir, "proc"), filepath.Join(dir, "nowhere"), 7); err == nil || !strings.Contains(err.Error(), "no memory controller") {
				t.Errorf("no cgroups: %v", err)
			}
		})
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"2GB": 2e9, "512MiB": 512 << 20, "1.5 GiB": 3 << 29, "1000000": 1e6, "0": 0, "10k": 1e4, "1tb": 1e12} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1GB", "much", "2 apples", "1e300GB", "nan"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
