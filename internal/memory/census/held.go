package census

// maxCells bounds what is looked at of one closure.
const maxCells = 64

// Offsets in a PyFunctionObject, from 3.10 on and before.
func (w *walk) functionAt() (closure, qualname uint64) {
	if w.in.Minor <= 9 {
		return 48, 104
	}
	return 72, 40
}

// lookAtFunction names the containers that a closure holds by the function that uses them: which
// of its variables it was is told by a table of its code that differs from version to version.
func (w *walk) lookAtFunction(object uint64) {
	closureAt, qualnameAt := w.functionAt()
	cells := w.word(object + closureAt)
	if cells == 0 || w.typeOf(cells).name != "tuple" {
		return
	}
	for i := range min(w.word(cells+16), maxCells) {
		cell := w.word(cells + 24 + 8*i)
		if cell == 0 || w.typeOf(cell).name != "cell" {
			continue
		}
		held := w.word(cell + 16)
		if held == 0 {
			continue
		}
		switch w.typeOf(held).kind {
		case list, dict, set, deque:
		default:
			continue
		}
		w.look(held)
		w.heldBy(held, "closure of ", w.str(w.word(object+qualnameAt)))
	}
}

// lookAtCache counts what functools.lru_cache keeps, in a dictionary that nobody else refers to, and names
// it by the function.
func (w *walk) lookAtCache(object uint64) {
	const cacheAt, functionAt = 72, 88 // lru_cache_object of Modules/_functoolsmodule.c, 3.8 to 3.13
	cache, f := w.word(object+cacheAt), w.word(object+functionAt)
	if cache == 0 || w.typeOf(cache).kind != dict {
		return
	}
	w.look(cache)
	if f != 0 && w.typeOf(f).kind == function {
		_, qualnameAt := w.functionAt()
		w.heldBy(cache, "lru_cache of ", w.str(w.word(f+qualnameAt)))
	}
}

// heldBy names a container by the one function that holds it, if it has no name yet.
func (w *walk) heldBy(container uint64, how, function string) {
	c, ok := w.out.Containers[container]
	if !ok || c.Name != "" || function == "" {
		return
	}
	c.Name, c.Users = how+function, []string{function}
	w.out.Containers[container] = c
}
