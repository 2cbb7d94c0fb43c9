package stack

import "testing"

func TestIdle(t *testing.T) {
	native := func(function string) Frame { return Frame{Function: function, File: "libc.so.6", Kind: Native} }
	wait, get := py("Condition.wait", "/usr/lib/python3.11/threading.py"), py("Queue.get", "/usr/lib/python3.11/queue.py")
	thread := py("Thread._bootstrap_inner", "/usr/lib/python3.11/threading.py")
	handler := py("handler", "/srv/api.py")
	for _, c := range []struct {
		name    string
		sleep   SleepKind
		outside bool
		want    string
		frames  []Frame
	}{
		{"executor", SleepLock, true, IdleExecutor, []Frame{native("sem_wait"), py("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py"), thread}},
		{"executor after a request", SleepLock, false, IdleExecutor, []Frame{py("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py"), thread}},
		{"executor at work", SleepLock, true, "", []Frame{handler, py("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py"), thread}},
		{"executor that waits for the GIL", SleepGIL, true, "", []Frame{py("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py"), thread}},
		{"anyio", SleepLock, false, IdleExecutor, []Frame{wait, get, py("WorkerThread.run", "/venv/site-packages/anyio/_backends/_asyncio.py"), thread}},
		{"queue of its own", SleepLock, true, IdleQueue, []Frame{wait, get, py("consume", "/srv/jobs.py"), thread}},
		{"a request waits for a queue", SleepLock, false, "", []Frame{wait, get, handler}},
		{"a lock", SleepLock, true, "", []Frame{handler, thread}},
		{"join at exit", SleepLock, true, IdleJoin, []Frame{py("Thread._wait_for_tstate_lock", "/usr/lib/python3.11/threading.py"), py("Thread.join", "/usr/lib/python3.11/threading.py"), py("main", "/srv/app.py")}},
		{"uvicorn's parent", SleepLock, true, IdleParent, []Frame{wait, py("Event.wait", "/usr/lib/python3.11/threading.py"), py("Multiprocess.run", "/venv/site-packages/uvicorn/supervisors/multiprocess.py")}},
		{"gunicorn's parent", SleepPoll, true, IdleParent, []Frame{py("Arbiter.sleep", "/venv/site-packages/gunicorn/arbiter.py"), py("Arbiter.run", "/venv/site-packages/gunicorn/arbiter.py")}},
		{"gunicorn's worker", SleepPoll, true, IdleServer, []Frame{py("SyncWorker.wait", "/venv/site-packages/gunicorn/workers/sync.py")}},
		{"accept", SleepSocket, true, IdleServer, []Frame{py("socket.accept", "/usr/lib/python3.11/socket.py"), py("serve", "/srv/app.py")}},
		{"a socket of a request", SleepSocket, false, "", []Frame{py("socket.readinto", "/usr/lib/python3.11/socket.py"), handler}},
		{"a background thread's socket", SleepSocket, true, "", []Frame{py("socket.readinto", "/usr/lib/python3.11/socket.py"), py("consume", "/srv/jobs.py")}},
		{"a selector's loop", SleepPoll, true, IdleServer, []Frame{py("PollSelector.select", "/usr/lib/python3.11/selectors.py"), py("BaseEventLoop._run_once", "/usr/lib/python3.11/asyncio/base_events.py")}},
		{"signal", SleepCall, true, IdleSignal, []Frame{{Function: "do_sigtimedwait", Kind: Kernel}, py("main", "/srv/app.py")}},
		{"uv's pool", SleepLock, true, IdleNative, []Frame{native("pthread_cond_wait"), native("uv_cond_wait")}},
		{"native, in a request", SleepLock, false, "", []Frame{native("pthread_cond_wait")}},
		{"Go's scheduler", SleepLock, true, IdleRuntime, []Frame{{Function: "runtime.futex", Kind: "go"}, {Function: "runtime.stopm", Kind: "go"}}},
		{"Go reads", SleepCall, true, "", []Frame{{Function: "syscall.Syscall", Kind: "go"}, {Function: "main.main", Kind: "go"}}},
		{"Java's pool", SleepLock, true, IdleExecutor, []Frame{native("futex"), {Function: "java.util.concurrent.ThreadPoolExecutor.getTask", Kind: "jvm"}}},
		{"Java's lock", SleepLock, true, "", []Frame{native("futex"), {Function: "app.Service.call", Kind: "jvm"}}},
	} {
		s := Sample{Kind: OffCPU, Sleep: c.sleep, Frames: append([]Frame{{Function: c.sleep.String(), Kind: Kernel}}, c.frames...)}
		if got := Idle(&s, c.outside); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	run := py("WorkerThread.run", "/venv/site-packages/anyio/_backends/_asyncio.py")
	for name, c := range map[string]struct {
		frames []Frame
		want   bool
	}{
		"it asks for work":      {[]Frame{native("take_gil"), wait, get, run, thread}, true},
		"it is handed it":       {[]Frame{get, run, thread}, true},
		"it works":              {[]Frame{handler, run, thread}, false},
		"its work asks a queue": {[]Frame{wait, get, handler, run, thread}, false},
		"it tells its result":   {[]Frame{py("BaseEventLoop.call_soon_threadsafe", "/usr/lib/python3.11/asyncio/base_events.py"), run, thread}, false},
		"no Python":             {[]Frame{native("memcpy")}, false},
	} {
		if BetweenWorks(c.frames) != c.want {
			t.Errorf("%s: it is said to be between works: %v", name, !c.want)
		}
	}
	cut := Sample{Kind: OffCPU, Sleep: SleepLock, Truncated: true, Frames: []Frame{{Function: "futex_wait", Kind: Kernel}, {Function: CutOff}}}
	if why := Idle(&cut, true); why != IdleUntold {
		t.Errorf("cut off: %q", why)
	}
	if why := Idle(&cut, false); why != "" {
		t.Errorf("cut off, in a request: %q", why)
	}
	if why := Idle(&Sample{Kind: CPU, Frames: []Frame{native("memcpy")}}, true); why != "" {
		t.Errorf("a thread that runs is idle: %s", why)
	}
}

func TestWhatCameWithAStack(t *testing.T) {
	pack := func(kind SleepKind, value int64) int64 { return int64(uint64(kind)<<kindShift | uint64(value)) }
	id := [8]byte{0x40, 0x42, 0x0f} // 1 ms
	for _, c := range []struct {
		value                int64
		transaction          [8]byte
		kind                 SleepKind
		wantLength, wantTime int64
	}{
		{pack(SleepGIL, 5_000_000), id, SleepGIL, 1_000_000, 5_000_000},
		{pack(SleepKernel, 0), id, SleepKernel, 1_000_000, 0},
		{pack(SleepLock, 7), [8]byte{}, SleepLock, 7, 7},
		{pack(SleepLock, 7), [8]byte{0: 1, 7: 0x99}, SleepLock, 7, 7}, // a tracer's id
	} {
		kind, length, stands := slept(c.value, c.transaction, 1e15)
		if kind != c.kind || length != c.wantLength || stands != c.wantTime {
			t.Errorf("%#x, %v: %v %d %d", c.value, c.transaction, kind, length, stands)
		}
	}
}

func TestEverySleepHasItsWords(t *testing.T) {
	seen := map[string]bool{}
	for k := SleepCall; k <= SleepKernel; k++ {
		if w := k.String(); w == "" || seen[w] {
			t.Errorf("kind %d is called %q", k, w)
		}
		seen[k.String()] = true
	}
	frames := []Frame{{Function: "__schedule", Kind: Kernel}, {Function: "schedule", Kind: Kernel}, {Function: "do_nanosleep", Kind: Kernel}, py("f", "/a.py")}
	if got := SleepTimer.above(frames); len(got) != 3 || got[0].Function != "[sleeps for a time]" || got[1].Function != "do_nanosleep" {
		t.Errorf("%+v", got)
	}
}
