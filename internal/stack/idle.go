package stack

import "strings"

// Idle says why a thread that slept had nothing to do: that is no finding. It is "" where it may have
// been held up. Outside says that the thread served no request: some sleeps are idle only then.
//
// It goes by what is on the stack: the innermost Python functions of those who wait for work, a
// runtime's own threads, and native threads that run no Python.
func Idle(s *Sample, outside bool) string {
	if s.Kind != OffCPU || s.Sleep == SleepGIL || s.Sleep == SleepDisk || s.Sleep == SleepKernel {
		return ""
	}
	python := pythonOf(s.Frames)
	if len(python) > 0 {
		for _, rule := range idlePython {
			if (outside || rule.always) && rule.matches(python) {
				return rule.why
			}
		}
	}
	if !outside {
		return ""
	}
	for _, f := range s.Frames {
		if why := idleFrames[f.Function]; why != "" {
			return why
		}
	}
	switch {
	case len(python) > 0 || s.Sleep == SleepSocket:
		return ""
	case s.Truncated:
		return IdleUntold
	case managed(s.Frames):
		return idleManaged(s)
	default:
		return IdleNative
	}
}

// BetweenWorks recognises a worker of a Python thread pool that asks for its next work, whatever it waits for there: it
// is done with what it did, and who will have it is not known yet.
func BetweenWorks(frames []Frame) bool {
	python := pythonOf(frames)
	for _, rule := range idlePython {
		if rule.always && rule.matches(python) {
			return true
		}
	}
	return false
}

// The reasons of Idle.
const (
	IdleExecutor = "worker of a thread pool without work"
	IdleQueue    = "thread that waits for a queue"
	IdleJoin     = "thread that waits for others to end"
	IdleServer   = "server that waits for connections"
	IdleParent   = "supervisor of workers"
	IdleSignal   = "thread that waits for a signal"
	IdleNative   = "native thread without Python"
	IdleRuntime  = "thread of the runtime"
	IdleUntold   = "thread without a request whose stack was cut off: it may have waited for work"
)

// idleRule: the innermost Python functions are these, one after the other.
type idleRule struct {
	why    string
	always bool // whatever request the thread served before
	calls  []idleCall
}

// idleCall is a function of a file; of several calls in a row those that are optional may be missing.
type idleCall struct {
	file, function string // file: its end; function: "": any
	optional       bool
}

var idlePython = []idleRule{
	{IdleExecutor, true, []idleCall{{"concurrent/futures/thread.py", "_worker", false}}},
	{IdleExecutor, true, []idleCall{{"/threading.py", "wait", true}, {"/queue.py", "get", false}, {"anyio/_backends/_asyncio.py", "run", false}}},
	{IdleExecutor, true, []idleCall{{"/threading.py", "wait", true}, {"/queue.py", "get", false}, {"multiprocessing/pool.py", "", false}}},
	{IdleQueue, false, []idleCall{{"/threading.py", "wait", true}, {"/queue.py", "get", false}}},
	{IdleQueue, false, []idleCall{{"multiprocessing/connection.py", "", false}}},
	{IdleParent, false, []idleCall{{"/threading.py", "wait", true}, {"/threading.py", "wait", true}, {"uvicorn/supervisors/", "", false}}},
	{IdleParent, false, []idleCall{{"gunicorn/arbiter.py", "", false}}},
	{IdleParent, false, []idleCall{{"multiprocessing/popen_fork.py", "", false}}},
	{IdleParent, false, []idleCall{{"/subprocess.py", "", false}}},
	{IdleServer, false, []idleCall{{"gunicorn/workers/", "", false}}},
	{IdleServer, false, []idleCall{{"/socket.py", "accept", false}}},
	{IdleServer, false, []idleCall{{"/selectors.py", "", true}, {"/socketserver.py", "serve_forever", false}}},
	{IdleServer, false, []idleCall{{"/selectors.py", "", false}, {"asyncio/base_events.py", "_run_once", false}}},
	{IdleJoin, false, []idleCall{{"/threading.py", "_wait_for_tstate_lock", true}, {"/threading.py", "join", false}}},
	{IdleJoin, false, []idleCall{{"/threading.py", "_wait_for_tstate_lock", true}, {"/threading.py", "_shutdown", false}}},
}

func (r *idleRule) matches(python []Frame) bool {
	for _, c := range r.calls {
		switch {
		case len(python) > 0 && c.is(python[0]):
			python = python[1:]
		case !c.optional:
			return false
		}
	}
	return true
}

func (c *idleCall) is(f Frame) bool {
	name := f.Function[strings.LastIndexByte(f.Function, '.')+1:] // Queue.get
	if c.function != "" && name != c.function {
		return false
	}
	return strings.HasSuffix(f.File, c.file) || strings.HasSuffix(c.file, "/") && strings.Contains(f.File, c.file)
}

// idleFrames are functions of which one is on the stack of a thread that has nothing to do.
var idleFrames = map[string]string{
	"__do_sys_rt_sigtimedwait": IdleSignal, "do_sigtimedwait": IdleSignal, "__do_sys_pause": IdleSignal, "__x64_sys_pause": IdleSignal, "sigsuspend": IdleSignal,
	"runtime.stopm": IdleRuntime, "runtime.mPark": IdleRuntime, "runtime.sysmon": IdleRuntime, "runtime.notesleep": IdleRuntime, "runtime.notetsleep_internal": IdleRuntime, "runtime.futexsleep": IdleRuntime, "runtime.usleep": IdleRuntime,
}

// idleJava are parts of the names of Java methods in which threads wait for work.
var idleJava = []string{"ThreadPoolExecutor.getTask", "ForkJoinPool.awaitWork", "ForkJoinPool.runWorker", "ReferenceQueue.remove", "Reference.waitForReferencePendingList"}

// managed: a runtime's own functions are on the stack.
func managed(frames []Frame) bool {
	for _, f := range frames {
		if f.Kind != Native && f.Kind != Kernel {
			return true
		}
	}
	return false
}

func idleManaged(s *Sample) string {
	for _, f := range s.Frames {
		for _, part := range idleJava {
			if strings.Contains(f.Function, part) {
				return IdleExecutor
			}
		}
	}
	return ""
}

func pythonOf(frames []Frame) []Frame {
	var out []Frame
	for _, f := range frames {
		if f.Kind == Python {
			out = append(out, f)
		}
	}
	return out
}
