package target

import "strings"

// Offsets in PyTypeObject and PyType_Spec, the same from 3.8 to 3.13 on 64-bit machines
// (Include/cpython/object.h, Include/object.h).
const (
	typeName   = 24  // tp_name
	typeInit   = 296 // tp_init
	specSlots  = 24  // PyType_Spec.slots, behind name (0), sizes and flags
	slotInit   = 60  // Py_tp_init of Include/typeslots.h
	maxSlots   = 64
	slotSize   = 16 // {int slot; void *pfunc}
	taskObject = "_asyncio.Task"
)

// taskContexts holds, for each CPython 3 minor version, where a TaskObj of Modules/_asynciomodule.c
// keeps its Context; each read off a running interpreter (TestTaskContext).
var taskContexts = map[int]uint32{8: 128, 9: 168, 10: 176, 11: 152, 12: 152, 13: 136}

// findTask finds the initialiser of asyncio's tasks. It is no symbol, but the module's writable
// data points to the type's name from the type itself (static, up to 3.11) or from its
// specification, and both lead to the function.
func (p *Python) findTask(pid int, maps []mapping) {
	l, _ := openLibrary(pid, maps, func(base string) bool { return strings.HasPrefix(base, "_asyncio.") }, anyImage)
	defer l.close()
	offset := taskContexts[p.Minor]
	if l == nil || offset == 0 {
		return // built into the interpreter, not imported, or not known: Copy has the links
	}
	for at, to := range l.pointers {
		if l.text(to) != taskObject {
			continue
		}
		init := l.pointer(at - typeName + typeInit)
		if !l.isCode(init) {
			init = l.slot(l.pointer(at+specSlots), slotInit)
		}
		if probe := l.probe("Task.__init__", init, 1); probe != nil {
			p.Task, p.TaskContext = probe, offset
			return
		}
	}
	p.note("Task.__init__ of %s was not found: calls are linked at a higher price", l.name)
}

// slot looks a function up in the slots of a PyType_Spec, 0 where there is none.
func (l *library) slot(slots uint64, id uint64) uint64 {
	for i := range uint64(maxSlots) {
		s := uint32(l.word(slots + i*slotSize))
		if s == 0 {
			return 0
		}
		if uint64(s) == id {
			if f := l.pointer(slots + i*slotSize + 8); l.isCode(f) {
				return f
			}
			return 0
		}
	}
	return 0
}
