package truth

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Results is everything that one run of the bench found.
type Results struct {
	Machine Machine         `json:"machine"`
	Costs   []*Cost         `json:"costs"`
	Others  []Others        `json:"others"`
	Itself  *Itself         `json:"agent"`
	Truth   []*Experiment   `json:"truth"`
	Rows    []*Row          `json:"rows"`
	Timings []*Timing       `json:"timings"`
	Pools   []*PoolFindings `json:"pools"`
	Memory  []*MemoryRow    `json:"memory,omitempty"`

	Profiles   []*Profiles      `json:"profiles,omitempty"`
	Sleeps     []*SleepFindings `json:"sleeps,omitempty"`
	StackCosts []*StackCost     `json:"stack_costs,omitempty"`
	Names      []*NameFindings  `json:"names,omitempty"`

	Allocations []*AllocationFindings `json:"allocations,omitempty"`
	Touched     []*TouchedFindings    `json:"touched,omitempty"`

	Missing map[string]string `json:"not_measured"` // what, why
}

// Experiment is one truth run; the queueing figures are there where all requests hold the one
// connection in turn.
type Experiment struct {
	Name string `json:"name"`
	*Findings
	Queue *Queue `json:"queue,omitempty"`
}

// Queue compares mean waits for one connection, in seconds.
type Queue struct {
	Utilisation float64 `json:"utilisation"` // arrivals a second times the mean hold
	Hold        float64 `json:"hold"`        // mean, by the application's clock
	Theory      float64 `json:"theory"`      // 0: no steady state
	Known       float64 `json:"known"`       // by the application's clock
	Seen        float64 `json:"seen"`        // by the agent
}

// Machine is where the results come from.
type Machine struct {
	Date     string            `json:"date"`
	Kernel   string            `json:"kernel"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Load     string            `json:"load_average"` // 1, 5 and 15 min, at the start
	Commit   string            `json:"commit"`
	Kept     string            `json:"kept,omitempty"` // where parts that were left out come from
	Versions map[string]string `json:"versions"`
}

// DescribeMachine says where it runs.
func DescribeMachine() Machine {
	m := Machine{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Cores: runtime.NumCPU(), Load: loadAverage(), Versions: map[string]string{"go": runtime.Version()}}
	m.Kernel = kernelRelease()
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	m.Commit = output("git", "describe", "--always", "--dirty", "--abbrev=10")
	m.Versions["redis-server"] = output("redis-server", "--version")
	if python, err := venv(basic); err == nil {
		m.Versions["python"] = output(python, "--version")
		for name, version := range pythonVersions(python, "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "h11", "redis") {
			m.Versions[name+" (Python)"] = version
		}
	}
	return m
}

// kernelRelease is "6.18.44 x86_64".
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}

// pythonVersions are the versions of packages in an environment, those that it has.
func pythonVersions(python string, packages ...string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(output(python, "-m", "pip", "freeze", "--disable-pip-version-check")) {
		if name, version, _ := strings.Cut(strings.TrimSpace(line), "=="); slices.Contains(packages, name) {
			out[name] = version
		}
	}
	return out
}

func output(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// queue is what theory, the application and the agent say of the wait for one connection.
func queue(f *Findings) *Queue {
	all := f.By[0]
	if all.Sent == 0 {
		return nil
	}
	var holds []float64
	for _, k := range f.Known {
		holds = append(holds, k.Holds...)
	}
	q := &Queue{Known: all.TrueWait / float64(all.Sent), Seen: all.SeenWait / float64(all.Sent), Hold: sum(holds) / float64(max(len(holds), 1))}
	q.Theory, q.Utilisation, _ = meanWait(float64(f.Sent)/f.Load.For.Seconds(), holds)
	return q
}
