package target

import "strings"

// Offsets in PyTypeObject, the same from 3.8 to 3.13 on 64-bit machines (Include/cpython/object.h).
const (
	typeMethods = 232 // tp_methods
	typeNew     = 312 // tp_new
)

// findContextProbes finds every way into a Context, and where Contexts are born.
//
// PyContext_Enter is exported; Context.run, which asyncio uses, is not, but stands in the method
// table of the exported type. Depending on the build, run calls PyContext_Enter, or both share an
// inner function that takes the thread state first, or run has it inlined.
func (p *Python) findContextProbes(l *library) {
	contextType := l.symbols["PyContext_Type"].address
	enter := l.symbols["PyContext_Enter"]
	run := l.methodsAt(l.pointer(contextType + typeMethods))["run"].address
	if contextType == 0 || enter.address == 0 || run == 0 {
		p.note("PyContext_Enter or Context.run not found: no events when a Context is entered")
	} else {
		p.findEnter(l, enter, run)
	}
	if s := l.symbols["PyContext_CopyCurrent"]; s.address != 0 {
		p.Copy = l.entry("PyContext_CopyCurrent", s.address)
	}
	p.New = newContext(l, contextType)
	if p.Copy == nil || p.New == nil {
		p.note("PyContext_CopyCurrent or Context.__new__ not found: the birth of Contexts is not seen")
	}
}

func (p *Python) findEnter(l *library, enter symbol, run uint64) {
	inner, argument := l.code.handover(l.image, enter.address, int(min(enter.size, maxBody)))
	for _, to := range l.code.calls(l.image, run, maxBody) {
		if inner != 0 && to == inner {
			p.Enter = add(nil, l.probe("PyContext_Enter (inner)", inner, argument))
			return
		}
	}
	p.Enter = add(nil, l.probe("PyContext_Enter", enter.address, 1))
	if !l.callsName(l.code, run, maxBody, "PyContext_Enter") {
		p.Enter = add(p.Enter, l.probe("Context.run", run, 1))
	}
}

// newContext is the function that every fresh Context comes from: PyContext_New where
// Context.__new__ calls it, else Context.__new__ itself.
func newContext(l *library, contextType uint64) *Probe {
	exported := l.symbols["PyContext_New"]
	slot := l.pointer(contextType + typeNew)
	if exported.address != 0 && (contextType == 0 || slot == 0 || l.callsName(l.code, slot, 128, "PyContext_New")) {
		return l.entry("PyContext_New", exported.address)
	}
	return l.entry("Context.__new__", slot)
}

// findCopyContext finds contextvars.copy_context by its method table, in its own module or, where that is built
// in, in the interpreter.
func (p *Python) findCopyContext(pid int, maps []mapping, interpreter *library) {
	l, _ := openLibrary(pid, maps, func(base string) bool { return strings.HasPrefix(base, "_contextvars.") }, anyImage)
	defer l.close()
	if l == nil {
		l = interpreter
	}
	if m := l.findMethods("copy_context"); m != nil {
		p.CopyContext = l.entry("contextvars.copy_context", m["copy_context"].address)
	}
}
