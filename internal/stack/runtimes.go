package stack

import "strings"

// The unwinder's names of kinds of frame, and of what it finds between them.
const (
	jvm      = "jvm"
	v8       = "v8js"
	v8Prefix = "V8::" // V8's own frames among those of JavaScript
)

// Endpoints of samples of runtimes that are not CPython.
const (
	// RequestUnknown: a request may have been served, and nothing outside the process tells which.
	RequestUnknown = "(request not known)"
	// Compiling is done by a JVM's own threads.
	Compiling = "(compiler)"
)

// runtimeWork names the functions from which a runtime's own work is done, by what comes before and all of
// whose stacks are of that work.
var runtimeWork = map[string]string{
	"runtime.gcBgMarkWorker": Collecting, "runtime.bgsweep": Collecting, "runtime.bgscavenge": Collecting,
	"ConcurrentGCThread::run": Collecting, "GangWorker::run": Collecting, "WorkerThread::run": Collecting,
	"CompileBroker::compiler_thread_loop": Compiling,
}

// RuntimeWork says which work of the runtime itself a stack is of, "" if of none.
func RuntimeWork(frames []Frame) string {
	for i := len(frames) - 1; i >= 0; i-- {
		if work := runtimeWork[frames[i].Function]; work != "" {
			return work
		}
	}
	return ""
}

// HandsRequestOver says whether Node.js is just handing a request to the application that it has read
// a moment ago: its HTTP parser runs inside the read, and all JavaScript that it calls runs to its end
// before anything else is read. What the application does later (timers, promises, answers of others)
// begins with another function.
func HandsRequestOver(frames []Frame) bool {
	for i := len(frames) - 1; i >= 0; i-- {
		f := frames[i]
		if f.Kind != v8 || strings.HasPrefix(f.Function, v8Prefix) {
			continue
		}
		// parserOnHeadersComplete serves clients' answers too; what it calls for a server's requests does not.
		if f.Function == "parserOnHeadersComplete" && i > 0 {
			f = frames[i-1]
		}
		return f.Function == "parserOnIncoming" && f.File == "node:_http_server"
	}
	return false
}

// OnVirtualThread says whether a JVM's stack is one of its virtual threads, which share the kernel's.
func OnVirtualThread(frames []Frame) bool {
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].Kind == jvm && strings.HasPrefix(frames[i].Function, "jdk.internal.vm.Continuation.") {
			return true
		}
	}
	return false
}

// javaName shortens a method as the unwinder writes it, "void shop.Cart.add(java.lang.String, int)", to what
// people look for: shop.Cart.add. Overloads become one, as those of C++ do.
func javaName(method string) string {
	head, _, isMethod := strings.Cut(method, "(")
	if !isMethod {
		return method // StubRoutines [call_stub_return_address]
	}
	if _, name, ok := strings.Cut(head, " "); ok {
		return name
	}
	return head
}
