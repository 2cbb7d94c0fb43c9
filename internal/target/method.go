package target

// PyMethodDef: {const char *ml_name; PyCFunction ml_meth; int ml_flags; const char *ml_doc}.
const methodSize = 32

// maxMethods bounds a method table; the longest of CPython has about 150 entries.
const maxMethods = 512

// methFastcall is METH_FASTCALL of CPython's methodobject.h: the arguments come as a C array
// rather than as a tuple.
const methFastcall = 0x80

// method is one entry of a PyMethodDef table.
type method struct {
	address uint64
	flags   uint32
}

// methodsAt reads the table that starts at address.
func (m *image) methodsAt(address uint64) map[string]method {
	table := map[string]method{}
	for i := 0; i < maxMethods; i++ {
		name, def, ok := m.methodAt(address)
		if !ok {
			break
		}
		table[name] = def
		address += methodSize
	}
	return table
}

// methodAt reads the entry at address, if it looks like one: a name made of identifier
// characters, a function in code, and flags in their range.
func (m *image) methodAt(address uint64) (string, method, bool) {
	name := m.text(m.pointer(address))
	function := m.pointer(address + 8)
	flags := m.word(address + 16)
	if !isIdentifier(name) || flags>>12 != 0 || !m.isCode(function) {
		return "", method{}, false
	}
	return name, method{function, uint32(flags)}, true
}

func isIdentifier(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		default:
			return false
		}
	}
	return true
}

// findMethods looks through the writable data for a PyMethodDef table that holds every one of
// names, which is how functions of a stripped extension module are found; nil when there is none.
func (m *image) findMethods(names ...string) map[string]method {
	return m.findTable(names[0], func(table map[string]method) bool { return holdsAll(table, names) })
}

// findTable is findMethods with another test than the names; one of them is needed to look for.
func (m *image) findTable(name string, accept func(map[string]method) bool) map[string]method {
	for _, s := range m.segments {
		if !s.writable {
			continue
		}
		for at := (s.address + 7) &^ 7; at+methodSize <= s.address+s.size; at += 8 {
			p := m.pointer(at)
			if p == 0 || m.text(p) != name {
				continue
			}
			if _, _, ok := m.methodAt(at); !ok {
				continue
			}
			first := at
			for i := 0; i < maxMethods; i++ {
				if _, _, ok := m.methodAt(first - methodSize); !ok {
					break
				}
				first -= methodSize
			}
			if table := m.methodsAt(first); accept(table) {
				return table
			}
		}
	}
	return nil
}

func holdsAll(table map[string]method, names []string) bool {
	for _, n := range names {
		if _, ok := table[n]; !ok {
			return false
		}
	}
	return true
}
