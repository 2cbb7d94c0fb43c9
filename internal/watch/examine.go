package watch

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/target"
	"github.com/shirou/gopsutil/v3/host"
)

// Verdict is how well something works here.
type Verdict string

// The verdicts.
const (
	Works    Verdict = "ok"
	Degraded Verdict = "degraded"
	Missing  Verdict = "missing"
)

// Finding is one thing that was examined.
type Finding struct {
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Mend    string  `json:"mend,omitempty"`
	Needed  bool    `json:"needed"` // without it nothing works
}

// figures says what each hook is for.
var figures = []struct{ hook, figure, without string }{
	{"sock_recv", "requests and calls: bytes read", "nothing can be measured"},
	{"sock_send", "requests and calls: bytes sent", "nothing can be measured"},
	{"set_state", "connections, accept_queue, connect", "nothing can be measured"},
	{"data_ready", "arrival in the socket", "receive_queue and loop_wait are not measured, upstream ends when the answer is read"},
	{"sched_switch", "run_queue, gil_wait, blocked", "on_cpu contains the time off the CPU"},
	{"sched_waking", "run_queue after a sleep", "run_queue counts as blocked"},
	{"process_fork", "workers from their first request on", "a new worker is not seen for up to two seconds"},
	{"process_exec", "workers that are started as programs of their own", "the first calls of such a worker may be linked to nothing"},
	{"process_exit", "workers that end before they are known", "each of them takes a place of a watched process until the agent ends"},
	{"accept", "accept_queue", "it counts as receive_queue"},
	{"task_init", "which request a call belongs to, at less precision", "calls are linked by context_copy"},
	{"context_copy", "which request a call belongs to", "calls of child tasks and worker threads belong to no request"},
	{"context_new", "… with a fresh context per request", "calls are linked by the response's context only"},
	{"context_enter", "on_cpu and pool_wait", "they are not measured"},
	{"event_loop", "loop_wait of a context that yields", "it counts as unexplained"},
	{"work_put", "which request the work of an executor's threads belongs to", "work without a context belongs to no request; waits for a free thread count as unexplained"},
	{"work_got", "the same: who does it", "work without a context belongs to no request; waits for a free thread count as unexplained"},
	{"work_get", "when a thread is done with its work", "it counts as at work until the next"},
	{"threadsafe_call", "calls that threads have made by uvloop, at precision linked", "they belong to no request at that precision"},
	{"tls_session", "which connection a TLS session belongs to", "TLS connections are counted and not followed"},
	{"tls_read", "what TLS connections read", "requests and answers inside TLS are not seen"},
	{"tls_write", "what TLS connections write", "answers and calls inside TLS are not seen"},
	{"grpc_call", "gRPC methods", "methods are known from HEADERS only"},
	{"grpc_start", "links of gRPC calls, waits for a stream", "gRPC calls are linked by context only"},
	{"grpc_sync", "the same for synchronous stubs", "synchronous gRPC calls are linked by thread only"},
}

// Examine looks at the machine and, unless selector is empty, at a target.
func Examine(selector string, log *slog.Logger) []Finding {
	out := []Finding{kernelFinding(), rightsFinding(), btfFinding()}
	k, err := kernel.Load(log)
	if err != nil {
		return append(out, Finding{"BPF programs", Missing, err.Error(), "see above; without them nothing can be measured", true})
	}
	defer k.Close()
	out = append(out, priceFinding(k))
	out = append(out, stackFindings(k, log)...)
	if selector == "" {
		return append(out, hookFindings(k)...)
	}
	s, err := target.ParseSelector(selector)
	if err != nil {
		return append(out, Finding{"target", Missing, err.Error(), "", true})
	}
	t, err := s.Find()
	if err != nil {
		return append(out, Finding{"target", Missing, err.Error(), "", true})
	}
	out = append(out, Finding{"target", Works, fmt.Sprintf("%s at %s, %d processes", t.Service, t.Address, len(t.Processes)), "", true})
	for _, p := range t.Processes {
		out = append(out, processFindings(k, p)...)
	}
	return append(out, hookFindings(k)...)
}

func kernelFinding() Finding {
	f := Finding{What: "kernel", Verdict: Works, Needed: true}
	v, err := host.KernelVersion()
	if err != nil {
		f.Verdict, f.Detail = Degraded, err.Error()
		return f
	}
	f.Detail = v
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err == nil && (major < 6 || major == 6 && minor < 1) {
		f.Verdict, f.Mend = Degraded, "it was never tried on a kernel before 6.1"
	}
	return f
}

func rightsFinding() Finding {
	if lacking := kernel.Lacking(); len(lacking) > 0 {
		return Finding{"rights", Missing, fmt.Sprintf("uid %d without %s", os.Geteuid(), strings.Join(lacking, ", ")), "run it with sudo, or give the binary these capabilities (setcap)", true}
	}
	return Finding{"rights", Works, fmt.Sprintf("uid %d with all capabilities needed", os.Geteuid()), "", true}
}

func btfFinding() Finding {
	const path = "/sys/kernel/btf/vmlinux"
	if _, err := os.Stat(path); err != nil {
		return Finding{"BTF", Missing, err.Error(), "the kernel must be built with CONFIG_DEBUG_INFO_BTF, as those of all big distributions are", true}
	}
	return Finding{"BTF", Works, path, "", true}
}

func priceFinding(k *kernel.Kernel) Finding {
	c := k.Cost()
	if !c.Known {
		return Finding{"overhead", Degraded, c.Why, "the cost to the target is not measured; keep to --overhead-budget 0", false}
	}
	return Finding{"overhead", Works, fmt.Sprintf("a trap costs %.2f µs here", c.TrapPrice*1e6), "", false}
}

func processFindings(k *kernel.Kernel, p target.Process) []Finding {
	name := fmt.Sprintf("process %d", p.PID)
	py, err := target.InspectPython(p.PID)
	if errors.Is(err, target.ErrNotPython) {
		_ = k.Watch(p.PID, nil) // its hooks are reported by hookFindings
		return append(otherFindings(name, p.Name, target.InspectRuntime(p.PID)), memoryFindings(name, p.PID, nil)...)
	}
	if err != nil {
		return []Finding{{name, Degraded, err.Error(), "requests and calls are seen; links between them are not", false}}
	}
	out := []Finding{{name, Works, fmt.Sprintf("CPython %s, event loop %s", py.Version, orUnknown(py.Loop)), "", false}}
	libraries, opaque, err := target.InspectTLS(p.PID)
	out = append(out, tlsFindings(name, libraries, opaque, err)...)
	for _, e := range py.Enter {
		if !e.Emulated {
			out = append(out, Finding{name, Degraded, e.Name + ": no instruction that the kernel emulates, each trap costs about 12 µs", "precision will be lowered to stay inside the budget", false})
		}
	}
	for _, n := range py.Notes {
		out = append(out, Finding{name, Degraded, n, "", false})
	}
	if err := k.Watch(p.PID, py); err != nil {
		out = append(out, Finding{name, Missing, err.Error(), "", false})
	}
	k.FollowTLS(p.PID, libraries)
	return append(out, memoryFindings(name, p.PID, py)...)
}

// tlsFindings says whose TLS can be followed.
func tlsFindings(name string, libraries []target.TLS, opaque []string, err error) (out []Finding) {
	if err != nil {
		return []Finding{{name, Degraded, "TLS libraries could not be looked for: " + err.Error(), "TLS connections are counted and not followed", false}}
	}
	for _, l := range libraries {
		f := Finding{name, Works, "TLS of " + l.Name + " is followed", "", false}
		if !l.Read.Emulated || !l.Write.Emulated {
			f.Verdict, f.Mend = Degraded, "no instruction that the kernel emulates in its reads or writes: each costs about 12 µs"
		}
		out = append(out, f)
	}
	for _, why := range opaque {
		out = append(out, Finding{name, Degraded, why, "end TLS at a proxy in front of the service, or at one in front of the peer", false})
	}
	return out
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func hookFindings(k *kernel.Kernel) []Finding {
	state := map[string]string{}
	for _, p := range k.Probes() {
		reason := p.Reason
		if p.Attached {
			reason = "attached"
		}
		state[p.Probe] = reason
	}
	var out []Finding
	for _, f := range figures {
		switch s := state[f.hook]; s {
		case "attached":
			out = append(out, Finding{"hook " + f.hook, Works, f.figure, "", false})
		case "": // the target has no such function: nothing to attach
		case kernel.StandBy:
			out = append(out, Finding{"hook " + f.hook, Works, f.figure + " (stands by)", "", false})
		default:
			out = append(out, Finding{"hook " + f.hook, Degraded, s, "without it: " + f.without, false})
		}
	}
	return out
}
