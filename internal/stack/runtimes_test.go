package stack

import "testing"

func TestJavaName(t *testing.T) {
	for method, want := range map[string]string{
		"void shop.Cart.add(java.lang.String, int)": "shop.Cart.add",
		"java.lang.Object[] shop.Cart.items()":      "shop.Cart.items",
		"void shop.Cart$$Lambda$18+<hidden>.run()":  "shop.Cart$$Lambda$18+<hidden>.run",
		"void shop.Cart.<init>(shop.Cart)":          "shop.Cart.<init>",
		"StubRoutines  [call_stub_return_address]":  "StubRoutines  [call_stub_return_address]",
		"":               "",
		"vtable chunks":  "vtable chunks",
		"noReturnType()": "noReturnType",
	} {
		if got := javaName(method); got != want {
			t.Errorf("%q is %q, want %q", method, got, want)
		}
	}
}

func stackOf(kind string, functions ...string) (frames []Frame) {
	for _, f := range functions {
		frames = append(frames, Frame{Function: f, Kind: kind})
	}
	return frames
}

func TestRuntimeWork(t *testing.T) {
	for _, test := range []struct {
		frames []Frame
		want   string
	}{
		{stackOf("go", "runtime.scanobject", "runtime.gcDrain", "runtime.gcBgMarkWorker", "runtime.goexit"), Collecting},
		{stackOf("go", "runtime.mallocgc", "main.burn", "main.main", "runtime.goexit"), ""},
		{stackOf(Native, "G1ParScanThreadState::trim_queue", "GangWorker::run", "Thread::call_run", "start_thread", "__clone3"), Collecting},
		{stackOf(Native, "Compile::Compile", "CompileBroker::compiler_thread_loop", "start_thread"), Compiling},
		{nil, ""},
	} {
		if got := RuntimeWork(test.frames); got != test.want {
			t.Errorf("%v is %q, want %q", test.frames, got, test.want)
		}
	}
}

func TestHandsRequestOver(t *testing.T) {
	below := stackOf(v8, "V8::InternalFrame", "V8::EntryFrame")
	below = append(below, stackOf(Native, "v8::Function::Call", "uv__read", "uv_run", "_start")...)
	js := func(frames ...Frame) []Frame {
		for i := range frames {
			frames[i].Kind = v8
		}
		return append(frames, below...)
	}
	serves := Frame{Function: "parserOnIncoming", File: "node:_http_server"}
	parses := Frame{Function: "parserOnHeadersComplete", File: "node:_http_common"}
	for name, test := range map[string]struct {
		frames []Frame
		want   bool
	}{
		"a handler":                     {js(Frame{Function: "burn"}, Frame{Function: "emit", File: "node:events"}, serves, parses), true},
		"inlined":                       {js(Frame{Function: "burn"}, serves), true},
		"the parser itself":             {js(parses), false},
		"an answer to us":               {js(Frame{Function: "burn"}, Frame{Function: "parserOnIncomingClient", File: "node:_http_client"}, parses), false},
		"a function of the same name":   {js(Frame{Function: "burn"}, Frame{Function: "parserOnIncoming", File: "/app/http.js"}), false},
		"a timer":                       {js(Frame{Function: "burn"}, Frame{Function: "processTimers", File: "node:internal/timers"}), false},
		"a promise":                     {js(Frame{Function: "burn"}, Frame{Function: "processTicksAndRejections", File: "node:internal/process/task_queues"}), false},
		"a promise that calls a parser": {js(serves, parses, Frame{Function: "processTicksAndRejections", File: "node:internal/process/task_queues"}), false},
		"no JavaScript":                 {stackOf(Native, "epoll_pwait", "uv_run", "_start"), false},
	} {
		if got := HandsRequestOver(test.frames); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOnVirtualThread(t *testing.T) {
	virtual := stackOf(jvm, "shop.Cart.add", "java.lang.VirtualThread.run", "jdk.internal.vm.Continuation.enter", "java.lang.Thread.run")
	if !OnVirtualThread(virtual) || OnVirtualThread(stackOf(jvm, "shop.Cart.add", "java.lang.Thread.run")) {
		t.Error("a virtual thread is not told from a thread")
	}
}
