package stack

import "strings"

// Fold returns frames without the interpreter's plumbing. In the stack of a FastAPI request
// three quarters of the frames only say that Python calls Python; without them the code that
// somebody wrote is left.
//
// In a stack that runs Python it drops, of the native frames,
//   - those of the interpreter itself (libpython, python3.11) that called something visible,
//   - at the running end those that evaluate and call (_PyEval_…, PyObject_Vectorcall, …) and
//     those without a name; what they work for (PyObject_Free, gc_collect_main) stays,
//   - glue of Cython and asyncio, and a function's second name right below the first,
//   - everything below the outermost Python function (main, thread start).
//
// Stacks without Python are returned unchanged. The input is not modified.
func Fold(frames []Frame) []Frame {
	outermost := lastPython(frames)
	if outermost < 0 {
		return frames
	}
	kept := make([]Frame, 0, outermost+1)
	visible := false // the frame calls, through others, something that is kept
	for _, f := range frames[:outermost+1] {
		if f.Kind == Native && plumbing(f, visible) {
			continue
		}
		if n := len(kept); n > 0 && kept[n-1] == f && cythonName(f) {
			continue // the wrapper of the function above; elsewhere it would be recursion
		}
		kept = append(kept, f)
		visible = true
	}
	return kept
}

func lastPython(frames []Frame) int {
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].Kind == Python {
			return i
		}
	}
	return -1
}

func plumbing(f Frame, visible bool) bool {
	if glue(f.Function) || visible && unnamed(f) && strings.HasPrefix(f.File, "_asyncio.") {
		return true // of a stripped _asyncio all that steps a task has no name
	}
	if !interpreterObject(f.File) {
		return false
	}
	return visible || unnamed(f) || evaluates(f.Function)
}

// unnamed says that no symbol covers the address, as in a stripped interpreter: a number
// tells less than the Python function that it works for.
func unnamed(f Frame) bool { return strings.HasPrefix(f.Function, f.File+"+0x") }

// interpreterObject recognises CPython's own objects: python, python3.11, libpython3.13t.so.1.0.
func interpreterObject(base string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(base, "lib"), "python")
	return ok && (rest == "" || rest[0] == '.' || rest[0] >= '0' && rest[0] <= '9')
}

// evaluatePrefixes begin the names of the functions by which CPython evaluates and calls.
var evaluatePrefixes = []string{
	"_PyEval_", "PyEval_", "_PyFunction_Vectorcall", "PyObject_Vectorcall", "_PyObject_Vectorcall",
	"PyObject_Call", "_PyObject_Call", "_PyObject_MakeTpCall", "_PyObject_FastCall", "PyVectorcall_",
	"_PyVectorcall", "PyCFunction_Call", "_PyCFunction", "cfunction_", "method_vectorcall", "vectorcall_",
	"object_vacall", "slot_tp_", "slot_nb_", "slot_sq_", "slot_mp_", "slot_am_", "wrap_", "wrapper_",
	"PyGen_am_send", "PyGen_Send", "gen_send_ex", "gen_iternext", "gen_send", "_PyGen_", "async_gen_",
	"coro_wrapper_", "partial_vectorcall", "partial_call", "context_run", "builtin_exec", "call_function",
	"PyIter_Send", "builtin___build_class__",
}

func evaluates(function string) bool {
	for _, prefix := range evaluatePrefixes {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

// glue is generated or fixed code of extension modules that only passes calls on.
func glue(function string) bool {
	switch function {
	case "task_step", "task_step_impl", "task_wakeup", "TaskStepMethWrapper_call", "task_step_handle_result_impl":
		return true
	}
	return strings.HasPrefix(function, "__Pyx_")
}

// cythonName recognises what readable made of a Cython symbol, whose wrapper has that name too.
func cythonName(f Frame) bool {
	return f.Kind == Native && strings.Contains(f.Function, ".") && !unnamed(f)
}
