package target

import "strings"

// findWork finds the methods of queue.SimpleQueue by their table, in module _queue or, where that is built in,
// in the interpreter.
func (p *Python) findWork(pid int, maps []mapping, interpreter *library) {
	l, _ := openLibrary(pid, maps, func(base string) bool { return strings.HasPrefix(base, "_queue.") }, anyImage)
	defer l.close()
	if l == nil {
		l = interpreter
	}
	m := l.findMethods("get_nowait", "put_nowait")
	if m == nil {
		return // no executor is in use, or its queue is written in Python
	}
	p.WorkPut = l.probe("SimpleQueue.put", m["put"].address, 2)
	for _, name := range []string{"get", "get_nowait"} {
		p.WorkGet = add(p.WorkGet, l.entry("SimpleQueue."+name, m[name].address))
	}
	if p.WorkPut == nil || len(p.WorkGet) == 0 {
		p.WorkPut, p.WorkGet = nil, nil
		p.note("SimpleQueue.put or get of %s was not found: what an executor's threads do is linked by its Context only", l.name)
	}
}

// findHandle finds where uvloop makes the callbacks that threads ask for.
func (p *Python) findHandle(uvloop, interpreter *library) {
	kind := interpreter.symbols["PyContext_Type"].address
	m := uvloop.findMethods("call_soon_threadsafe")
	if kind == 0 || m == nil {
		p.note("call_soon_threadsafe of %s was not found: at precision linked, what a thread has done by the loop is not linked", uvloop.name)
		return
	}
	p.Handle = uvloop.entry("Loop.call_soon_threadsafe", m["call_soon_threadsafe"].address)
	p.ContextType = interpreter.bias + kind
}
