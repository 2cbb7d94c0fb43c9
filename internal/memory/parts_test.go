package memory

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// took is what testdata/parts.py says of itself.
type took struct {
	Arenas  uint64 `json:"arenas"`
	Arena   uint64 `json:"arena"`
	Version string `json:"version"`
}

func startParts(t *testing.T, python string) (pid int, says took) {
	t.Helper()
	cmd := exec.Command(python, "testdata/parts.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIPPED: NOT TESTED: %v", err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, &says); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, says
}

// What a real Python process says that it took is found, kind by kind.
func TestPartsOfAPython(t *testing.T) {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		t.Run(python, func(t *testing.T) {
			pid, says := startParts(t, python)
			s := NewSampler(time.Now(), func(int) uint64 { return says.Arena })
			defer s.Close()
			tick, err := s.Sample([]int{pid}, nil)
			if err != nil {
				t.Fatal(err)
			}
			m, missing := s.Memory(0)
			c := m.Composition
			if c == nil {
				t.Fatalf("no composition: %+v", missing)
			}
			if tick.PSS == 0 || tick.PSS > tick.RSS || c.File+c.Anonymous+c.Shared != c.RSS || c.Anonymous != tick.Heap {
				t.Errorf("%+v does not fit %+v", c, tick)
			}
			sum := uint64(0)
			found := map[string]uint64{}
			for _, p := range c.Parts {
				sum += p.Bytes
				found[p.Kind] = p.Bytes
				t.Logf("%9d  %3d  %s", p.Bytes, p.Mappings, p.Kind)
			}
			if sum != c.RSS {
				t.Errorf("the parts add up to %d bytes of %d", sum, c.RSS)
			}
			t.Logf("Python %s: %d bytes in arenas of %d", says.Version, says.Arenas, says.Arena)
			for kind, want := range map[kind][2]uint64{
				kindPython(says.Arena): {says.Arenas / 2, says.Arenas * 11 / 10},
				kindBrk:                {18 << 20, 32 << 20},
				kindArena:              {18 << 20, 24 << 20},
				kindOther:              {31 << 20, says.Arenas + 56<<20},
				kindShared:             {16 << 20, 17 << 20},
				kindMapped:             {8 << 20, 11 << 20},
			} {
				if got := found[kind.name]; got < want[0] || got > want[1] {
					t.Errorf("%s: %d bytes, want %d to %d", kind.name, got, want[0], want[1])
				}
			}
			// Which arenas the kernel joins with a block of malloc's, and counts as that, is chance; both together are not.
			got := found[kindPython(says.Arena).name] + found[kindOther.name]
			if low, high := says.Arenas*95/100+31<<20, says.Arenas+56<<20; got < low || got > high {
				t.Errorf("arenas and blocks: %d bytes, want %d to %d", got, low, high)
			}
		})
	}
}

// Mappings are told apart by where they lie.
func TestKindsOfMappings(t *testing.T) {
	const text = `5581e0000000-5581e0001000 r--p 00000000 fe:00 1234                       /usr/bin/a program
Rss:                   4 kB
Pss:                   2 kB
5581e0001000-5581e0003000 r-xp 00001000 fe:00 1234                       /usr/bin/a program
Rss:                   8 kB
Pss:                   4 kB
5581e0003000-5581e0004000 rw-p 00003000 fe:00 1234                       /usr/bin/a program
Rss:                   4 kB
Pss:                   4 kB
Anonymous:             4 kB
5581e1000000-5581e1100000 rw-p 00000000 00:00 0                          [heap]
Rss:                 100 kB
Anonymous:           100 kB
Swap:                 12 kB
7f0000000000-7f0000100000 rw-p 00000000 00:00 0 
Rss:                  64 kB
Anonymous:            64 kB
7f0000100000-7f0004000000 ---p 00000000 00:00 0 
Rss:                   0 kB
7f0010000000-7f0010200000 rw-p 00000000 00:00 0 
Rss:                2048 kB
Anonymous:          2048 kB
7f0011000000-7f0011001000 ---p 00000000 00:00 0 
Rss:                   0 kB
7f0011001000-7f0011801000 rw-p 00000000 00:00 0 
Rss:                  16 kB
Anonymous:            16 kB
7f0012000000-7f0012101000 rw-p 00000000 00:00 0 
Rss:                1028 kB
Anonymous:          1028 kB
7f0013000000-7f0013002000 rw-p 00000000 00:00 0                          [anon: glibc: malloc arena]
Rss:                   8 kB
Anonymous:             8 kB
7f0014000000-7f0014002000 r--p 00000000 fe:00 99                         /data/index (deleted)
Rss:                   8 kB
7f0015000000-7f0015002000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
Rss:                   8 kB
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                  20 kB
Anonymous:            20 kB
7ffc00100000-7ffc00102000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
VmFlags: rd ex mr mw me de sd 
`
	maps, err := parseSmaps(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	of := func(arena uint64) recording.MemoryParts {
		clear(got)
		c := consistsOf(maps, arena)
		for _, p := range c.Parts {
			got[p.Kind] = p.Bytes >> 10
		}
		return c
	}
	c := of(1 << 20)
	for kind, want := range map[kind]uint64{
		kindLibrary: 12, kindChanged: 4, kindBrk: 100, kindArena: 64 + 8, kindPython(1 << 20): 2048, kindStack: 16 + 20,
		kindOther: 1028 + 4, kindMapped: 8, kindShared: 8,
	} {
		if got[kind.name] != want {
			t.Errorf("%s: %d kB, want %d", kind.name, got[kind.name], want)
		}
	}
	if c.Swap != 12<<10 || c.PSS != 10<<10 || c.File+c.Anonymous+c.Shared != c.RSS {
		t.Errorf("%+v", c)
	}
	if of(0); got[kindOther.name] != 1028+4+2048 {
		t.Errorf("not CPython: %d kB of other anonymous memory", got[kindOther.name])
	}
	for _, broken := range []string{"Rss: 4 kB\n", "nonsense\n", "1-2 rw-p 0 0 0\nRss: much\n", "12 rw-p 00000000 00:00 0 \n"} {
		if _, err := parseSmaps(strings.NewReader(broken)); err == nil {
			t.Errorf("%q was understood", broken)
		}
	}
}
