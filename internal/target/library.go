package target

import (
	"strconv"
	"strings"
)

// findSystemCalls finds the C library's entries through which an event loop waits and accepts.
func (p *Python) findSystemCalls(pid int, maps []mapping) {
	libc, err := openLibrary(pid, maps, isLibc, func(m *image) bool { return m.symbols["epoll_wait"].address != 0 })
	defer libc.close()
	if libc == nil {
		p.note("no C library found (%v): waits of the event loop and accepts are not seen", err)
		return
	}
	known := map[uint64]bool{} // names may be aliases
	for _, name := range []string{"epoll_wait", "epoll_pwait", "epoll_pwait2"} {
		if s := libc.symbols[name]; s.address != 0 && !known[s.address] {
			known[s.address] = true
			p.Epoll = add(p.Epoll, libc.probe(name, s.address, 0))
		}
	}
	for _, name := range []string{"accept", "accept4"} {
		if s := libc.symbols[name]; s.address != 0 && !known[s.address] {
			known[s.address] = true
			p.Accept = add(p.Accept, libc.entry(name, s.address))
		}
	}
}

// isLibc knows glibc (libc.so.6, before 2.34 libc-2.31.so) and musl.
func isLibc(base string) bool {
	return strings.HasPrefix(base, "libc.so") || strings.HasPrefix(base, "libc-2.") ||
		strings.HasPrefix(base, "ld-musl-") || strings.HasPrefix(base, "libc.musl-")
}

func anyImage(*image) bool { return true }

// findGRPC finds the methods of grpcio's stripped cygrpc module by their tables.
func (p *Python) findGRPC(pid int, maps []mapping) {
	l, _ := openLibrary(pid, maps, func(base string) bool { return strings.HasPrefix(base, "cygrpc.") }, anyImage)
	defer l.close()
	if l == nil {
		return
	}
	channel := l.findMethods("call", "watch_connectivity_state")
	unary := l.findMethods("unary_unary", "initiate_unary_stream")
	sync := l.findMethods("segregated_call", "integrated_call")
	g := &GRPC{
		Call:       l.probe("AioChannel.call", channel["call"].address, 0),
		Unary:      l.probe("_AioCall.unary_unary", unary["unary_unary"].address, 0),
		Segregated: l.probe("Channel.segregated_call", sync["segregated_call"].address, 0),
		Integrated: l.probe("Channel.integrated_call", sync["integrated_call"].address, 0),
	}
	if g.Call == nil && g.Segregated == nil {
		p.note("the methods of %s were not found: gRPC calls are linked without them", l.name)
		return
	}
	flags := channel["call"].flags
	if g.Call == nil {
		flags = sync["segregated_call"].flags
	}
	g.VarArgs = flags&methFastcall == 0
	p.GRPC = g
}

// Where uvloop 0.17 to 0.22 keep the file descriptor of a stream: UVHandle._handle follows the
// object's header and Cython's vtable, and libuv's uv_stream_t (1.43 to 1.48) has io_watcher.fd.
const (
	uvHandle = 24
	uvFd     = 184
)

// findLoop recognises the event loop by what is loaded.
func (p *Python) findLoop(pid int, maps []mapping, interpreter *library) {
	l, _ := openLibrary(pid, maps, func(base string) bool { return strings.HasPrefix(base, "loop.") }, func(m *image) bool {
		return m.symbols["PyInit_loop"].address != 0
	})
	defer l.close()
	if l == nil || !strings.Contains(l.name, "/uvloop/") {
		for _, m := range maps {
			if strings.Contains(m.path, "/_asyncio.") {
				p.Loop = "asyncio"
			}
		}
		return
	}
	v := p.Packages["uvloop"]
	p.Loop = strings.TrimSpace("uvloop " + v)
	p.findHandle(l, interpreter)
	if !queuesWrites(v) {
		return
	}
	stream := l.findTable("write", func(t map[string]method) bool { // the transport of TLS has them too, and more
		return holdsAll(t, []string{"writelines", "is_reading", "pause_reading"}) && !holdsAll(t, []string{"get_extra_info"})
	})
	p.UVWrite = add(p.UVWrite, l.probe("UVStream.write", stream["write"].address, 0))
	p.UVWrite = add(p.UVWrite, l.probe("UVStream.writelines", stream["writelines"].address, 0))
	if len(p.UVWrite) == 0 {
		p.note("UVStream.write of %s was not found: queued writes are not linked to their Context", l.name)
		return
	}
	p.UVHandleOffset, p.UVFdOffset = uvHandle, uvFd
}

// queuesWrites says whether a uvloop version sends most writes at the end of the iteration, where
// the Context of the writer is no longer current: 0.17 to 0.22.
func queuesWrites(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || parts[0] != "0" {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	return err == nil && minor >= 17 && minor <= 22
}
