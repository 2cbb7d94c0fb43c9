package target

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// layouts holds, for each CPython 3 minor version, the offsets of Offsets on 64-bit machines
// (Include/internal/pycore_runtime.h, pycore_interp.h and cpython/pystate.h of that version),
// each checked against a running interpreter. From 3.13 on all but Context come from the
// interpreter's own table, see debugOffsets, since they differ between patch releases.
var layouts = map[int]Offsets{
	8:  {InterpHead: 32, Threads: 8, Next: 8, ThreadID: 176, Context: 240},
	9:  {InterpHead: 32, Threads: 8, Next: 8, ThreadID: 176, Context: 240},
	10: {InterpHead: 32, Threads: 8, Next: 8, ThreadID: 176, Context: 240},
	11: {InterpHead: 40, Threads: 16, Next: 8, ThreadID: 152, Context: 224},
	12: {InterpHead: 40, Threads: 72, Next: 8, ThreadID: 136, Context: 208},
	13: {Context: 208},
}

// findOffsets takes the version's table and checks it against the machine code of the exported
// functions that use the same fields.
func findOffsets(m *image, code machine, minor int) (Offsets, error) {
	o, known := layouts[minor]
	if !known {
		return o, fmt.Errorf("%w: 3.%d; known are 3.8 to 3.13", ErrUnsupportedPython, minor)
	}
	if minor >= 13 {
		own, err := debugOffsets(m)
		if err != nil {
			return o, err
		}
		own.Context = o.Context
		o = own
	}
	runtime := m.symbols["_PyRuntime"]
	checks := []struct {
		function string
		from     uint64
		want     uint32
	}{
		{"PyInterpreterState_Head", runtime.address, o.InterpHead},
		{"PyInterpreterState_ThreadHead", 0, o.Threads},
		{"PyThreadState_Next", 0, o.Next},
	}
	for _, c := range checks {
		field, ok := code.accessor(m, m.symbols[c.function].address)
		if ok && field-c.from != uint64(c.want) {
			return o, fmt.Errorf("%w: %s reads offset %d, expected %d", ErrUnsupportedPython, c.function, field-c.from, c.want)
		}
	}
	if found, ok := contextOffset(m, code); ok && found != o.Context {
		return o, fmt.Errorf("%w: PyContext_Exit or PyContext_Enter keeps the current Context at offset %d, expected %d", ErrUnsupportedPython, found, o.Context)
	}
	return o, nil
}

// contextOffset derives where a thread state holds its Context from PyContext_Exit, or, where
// that is not conclusive, from PyContext_Enter.
func contextOffset(m *image, code machine) (uint32, bool) {
	if at, ok := contextField(m, code, m.symbols["PyContext_Exit"]); ok {
		return at, true
	}
	return contextField(m, code, m.symbols["PyContext_Enter"])
}

// contextField looks for a field that a function reads and replaces, with a counter beside it
// (context_ver) that it increments.
func contextField(m *image, code machine, function symbol) (uint32, bool) {
	if function.address == 0 {
		return 0, false
	}
	address, n := function.address, int(min(function.size, maxBody))
	if to, _ := code.handover(m, address, n); to != 0 && n <= 64 {
		address, n = to, 160 // a wrapper around an inner function
	}
	seen := code.fields(m, address, n)
	const first = 0x80 // before it lie the links, the frames and the exception state
	var found uint32
	for at, uses := range seen {
		if at >= first && at < 1<<16 && uses >= 2 && seen[at+8] >= 1 {
			if found != 0 {
				return 0, false // two candidates
			}
			found = uint32(at)
		}
	}
	return found, found != 0
}

// debugOffsets reads _Py_DebugOffsets, with which _PyRuntime begins from 3.13 on so that tools
// need no tables (Include/internal/pycore_debug_offsets.h): a cookie, the version, the
// free-threading flag, then for each structure its size and the offsets of its fields, all 64 bits.
func debugOffsets(m *image) (Offsets, error) {
	at := m.symbols["_PyRuntime"].address
	if string(m.at(at, 8)) != "xdebugpy" {
		return Offsets{}, fmt.Errorf("%w: _PyRuntime does not begin with its table of offsets", ErrUnsupportedPython)
	}
	if m.word(at+16) != 0 {
		return Offsets{}, fmt.Errorf("%w: a free-threaded build, whose objects are laid out differently", ErrUnsupportedPython)
	}
	var o Offsets
	for _, f := range []struct {
		index uint64 // in 64-bit words, from the cookie
		to    *uint32
	}{
		{5, &o.InterpHead}, // runtime_state: size, finalizing, interpreters_head
		{9, &o.Threads},    // interpreter_state: size, id, next, threads_head
		{21, &o.Next},      // thread_state: size, prev, next, interp, current_frame, thread_id
		{24, &o.ThreadID},
	} {
		v := m.word(at + 8*f.index)
		if v == 0 || v > 1<<24 {
			return o, fmt.Errorf("%w: its table of offsets has %d at word %d", ErrUnsupportedPython, v, f.index)
		}
		*f.to = uint32(v)
	}
	return o, nil
}

// version reads Py_Version (from 3.11 on: PY_VERSION_HEX), or else looks for the text of
// PY_VERSION, which Py_GetVersion prints, with the help of the file's name.
func version(m *image, path string) (text string, minor int, err error) {
	if s := m.symbols["Py_Version"]; s.address != 0 {
		if b := m.at(s.address, 4); len(b) == 4 {
			hex := binary.LittleEndian.Uint32(b)
			if hex>>24 == 3 {
				return fmt.Sprintf("3.%d.%d", hex>>16&0xff, hex>>8&0xff), int(hex >> 16 & 0xff), nil
			}
		}
	}
	named := minorOfName(path)
	texts := versionTexts(m)
	for _, t := range texts {
		if named == 0 && len(texts) == 1 || t.minor == named {
			return t.text, t.minor, nil
		}
	}
	if named != 0 {
		return fmt.Sprintf("3.%d", named), named, nil
	}
	return "", 0, fmt.Errorf("%w: no version found in %s", ErrUnsupportedPython, path)
}

var nameOfMinor = regexp.MustCompile(`^(?:lib)?python3\.(\d{1,2})`)

func minorOfName(path string) int {
	m := nameOfMinor.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

type versionText struct {
	text  string
	minor int
	alone bool
}

// The linker may let PY_VERSION share its bytes with the end of a longer string, such as
// "/opt/python/3.9.18", so the version need not follow a NUL.
var versionPattern = regexp.MustCompile(`[\x00/-]3\.(\d{1,2})\.\d{1,2}(?:\+|(?:a|b|rc)\d+\+?)?\x00`)

// versionTexts finds strings like "3.9.18" whose minor version is one of Python's; SQLite's, which
// a static build holds too, are above 20. Those that stand alone come first.
func versionTexts(m *image) []versionText {
	var list []versionText
	known := map[string]bool{}
	for _, s := range m.segments {
		if s.writable {
			continue
		}
		m.scan(s, maxText, func(_ uint64, data []byte) bool {
			for {
				at := versionPattern.FindSubmatchIndex(data)
				if at == nil {
					return true
				}
				alone := data[at[0]] == 0
				text := string(data[at[0]+1 : at[1]-1])
				minor, _ := strconv.Atoi(string(data[at[2]:at[3]]))
				data = data[at[1]-1:]
				if minor >= 6 && minor <= 20 && !known[text] {
					known[text] = true
					list = append(list, versionText{text, minor, alone})
				}
			}
		})
	}
	slices.SortStableFunc(list, func(a, b versionText) int {
		switch {
		case a.alone == b.alone:
			return 0
		case a.alone:
			return -1
		}
		return 1
	})
	return list
}
