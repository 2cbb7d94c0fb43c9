package watch

import (
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/memory/census"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/target"
)

// memoryFindings read a process's memory once, as `agent memory` does. py is nil where it is not CPython.
func memoryFindings(name string, pid int, py *target.Python) (out []Finding) {
	s := memory.NewSampler(time.Now(), func(int) uint64 { return 0 })
	defer s.Close()
	tick, err := s.Sample([]int{pid}, nil)
	if err != nil {
		return []Finding{{name, Missing, "memory: " + err.Error(), "mount /proc without hidepid, or run the agent in the host's PID namespace", false}}
	}
	f := Finding{What: name, Verdict: Works, Detail: "memory: RSS " + recording.Bytes(float64(tick.RSS))}
	if tick.PSS > 0 {
		f.Detail += ", PSS " + recording.Bytes(float64(tick.PSS))
	} else {
		f.Verdict, f.Mend = Degraded, "what memory consists of needs CAP_SYS_PTRACE, and a process of no more than 4 GiB"
		f.Detail += "; what it consists of cannot be read"
	}
	switch limit, err := memory.CgroupLimit(pid); {
	case err != nil:
		f.Detail += "; its cgroup's limit is not known: " + err.Error()
	case limit == nil:
		f.Detail += ", no limit of a cgroup"
	default:
		f.Detail += fmt.Sprintf(", limit %s (%s)", recording.Bytes(float64(limit.Bytes)), limit.Basis)
	}
	return append(append(out, f), censusFinding(name, pid, py)...)
}

// censusFinding says whether it can be told which container keeps memory.
func censusFinding(name string, pid int, py *target.Python) []Finding {
	if py == nil {
		return nil
	}
	const without = "without it: agent memory does not say which container grows"
	c, err := census.Take(interpreterOf(pid, py))
	switch {
	case err != nil:
		return []Finding{{name, Degraded, "containers: " + err.Error(), without, false}}
	case !c.Whole:
		return []Finding{{name, Degraded, fmt.Sprintf("containers: its objects changed while they were counted, or are too many: %d were looked at", c.Objects), without, false}}
	}
	return []Finding{{name, Works, fmt.Sprintf("containers can be counted: %s objects, %d containers of %d entries or more", recording.Number(int64(c.Objects)), len(c.Containers), census.MinEntries), "", false}}
}
