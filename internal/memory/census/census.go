package census

import (
	"errors"
	"fmt"
)

// Interpreter is where a process's CPython lies.
type Interpreter struct {
	PID                 int
	Minor               int    // 11 of 3.11
	Runtime, RuntimeEnd uint64 // _PyRuntime
	InterpHead          uint64 // bytes from Runtime to the pointer to the newest interpreter
}

// Container is one that holds MinEntries or more.
type Container struct {
	Type    string // "list", "collections.deque"
	Name    string // "app.cache", the variable of a module that refers to it; "Store.cache", the attribute of an instance; "closure of f", "lru_cache of f"; "": none is known
	Entries int64
	Users   []string // functions of that module, and methods of its classes or of that class, whose code names it: "remember", "Store.put"
}

// Count is the containers at one time, by address.
type Count struct {
	Containers map[uint64]Container
	Objects    int  // looked at
	Whole      bool // it came to the end of every list
}

const (
	// MinEntries is from where on a container is of interest.
	MinEntries = 100

	maxObjects   = 5_000_000 // a second or two
	maxVariables = 4096      // of one module
	tries        = 3

	gcHead = 16 // bytes of PyGC_Head, before the object
)

// ErrLayout says that the interpreter's memory is not laid out as expected.
var ErrLayout = errors.New("the garbage collector's lists were not found where this version of CPython keeps them")

// Take counts now. Memory that changes under its hands makes it begin again, twice at most.
func Take(in Interpreter) (*Count, error) {
	if in.Minor < 8 || in.Minor > 13 {
		return nil, fmt.Errorf("%w: known are 3.8 to 3.13", ErrLayout)
	}
	var c *Count
	for range tries {
		r, err := openReader(in.PID)
		if err != nil {
			return nil, err
		}
		w := walk{reader: r, in: in, types: map[uint64]*typeFacts{}, out: &Count{Containers: map[uint64]Container{}, Whole: true}}
		err = w.all()
		r.close()
		if err != nil {
			return nil, err
		}
		if c == nil || w.out.Whole || w.out.Objects > c.Objects {
			c = w.out
		}
		if c.Whole {
			break
		}
	}
	return c, nil
}

// walk is one try.
type walk struct {
	*reader
	in    Interpreter
	types map[uint64]*typeFacts // by address
	out   *Count
}

// typeFacts is what is known of a Python type.
type typeFacts struct {
	address uint64
	name    string
	kind    int
	flags   uint64

	searched bool   // for keys
	keys     uint64 // that its instances share; see cachedKeys
}

const (
	other = iota
	list
	dict
	set
	deque
	module
	function
	class
	lruCache
)

func (w *walk) all() error {
	heads, err := w.generations()
	if err != nil {
		return err
	}
	ends := map[uint64]bool{}
	for _, h := range heads {
		ends[h] = true
	}
	var modules []uint64
	for _, head := range heads {
		at := w.word(head) &^ 3
		for ; !ends[at]; at = w.word(at) &^ 3 { // its lowest bits are flags
			if at == 0 || w.out.Objects >= maxObjects {
				w.out.Whole = false
				break
			}
			w.out.Objects++
			object := at + gcHead
			switch w.look(object) {
			case module:
				modules = append(modules, object)
			case dict:
				w.lookInside(object)
			case function:
				w.lookAtFunction(object)
			case lruCache:
				w.lookAtCache(object)
			case other:
				if t := w.typeOf(object); t.flags&flagHeapType != 0 {
					w.lookAtInstance(object, t)
				}
			}
		}
		w.out.Whole = w.out.Whole && at == head
	}
	for _, m := range modules {
		w.name(m)
	}
	return nil
}

// generations are the heads of the collector's lists. They lie in a structure that refers to
// itself: three of {next, prev, threshold, count}, 24 bytes each, then a pointer to the first.
func (w *walk) generations() ([]uint64, error) {
	const size, count = 24, 3
	interpreter := w.word(w.in.Runtime + w.in.InterpHead)
	for _, place := range []struct{ from, to uint64 }{{interpreter, interpreter + 1<<20}, {w.in.Runtime, w.in.RuntimeEnd}} { // 3.8 keeps it in the runtime
		for at := place.from; at < place.to; at += 8 {
			if first := at - count*size; at > count*size && w.word(at) == first && w.isHead(first) && w.isHead(first+size) && w.isHead(first+2*size) {
				return []uint64{first, first + size, first + 2*size}, nil
			}
		}
	}
	if w.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayout, w.err)
	}
	return nil, ErrLayout
}

// isHead tells whether a doubly linked list begins here.
func (w *walk) isHead(at uint64) bool {
	next, prev := w.word(at)&^3, w.word(at+8)&^3
	return next != 0 && prev != 0 && w.word(next+8)&^3 == at
}

// look notes an object if it is a container of some size, and returns its kind.
func (w *walk) look(object uint64) int {
	t := w.typeOf(object)
	size := int64(-1)
	switch t.kind {
	case list, dict, deque: // ob_size and ma_used lie at the same place
		size = int64(w.word(object + 16))
	case set:
		size = int64(w.word(object + 24))
	}
	if size >= MinEntries && size < 1<<40 {
		if _, known := w.out.Containers[object]; !known {
			w.out.Containers[object] = Container{Type: t.name, Entries: size}
		}
	}
	return t.kind
}

// lookInside looks for dictionaries among the values of one: those of values that hold no others are
// in none of the collector's lists.
func (w *walk) lookInside(d uint64) {
	for _, value := range w.entries(d) {
		if w.typeOf(value).kind == dict {
			w.look(value)
		}
	}
}

func (w *walk) typeOf(object uint64) *typeFacts {
	address := w.word(object + 8)
	if t := w.types[address]; t != nil {
		return t
	}
	flags := w.word(address + typeFlagsAt)
	t := &typeFacts{address: address, name: w.text(w.word(address+typeNameAt), 64), flags: flags}
	switch {
	case flags&(1<<25) != 0: // Py_TPFLAGS_LIST_SUBCLASS
		t.kind = list
	case flags&(1<<29) != 0: // Py_TPFLAGS_DICT_SUBCLASS
		t.kind = dict
	case t.name == "set":
		t.kind = set
	case t.name == "collections.deque":
		t.kind = deque
	case t.name == "module":
		t.kind = module
	case t.name == "function":
		t.kind = function
	case t.name == "functools._lru_cache_wrapper":
		t.kind = lruCache
	case flags&(1<<31) != 0: // Py_TPFLAGS_TYPE_SUBCLASS
		t.kind = class
	}
	if len(w.types) < 1<<16 {
		w.types[address] = t
	}
	return t
}
