package stack

import (
	"strconv"
	"strings"
)

// readable is a native function's name as somebody would have written it: without the
// compiler's suffixes, and for Cython as a dotted Python name.
func readable(symbol string) string {
	if name := cython(symbol); name != "" {
		return name
	}
	for _, suffix := range []string{".isra.", ".part.", ".constprop.", ".cold", ".llvm.", ".lto_priv."} {
		if i := strings.Index(symbol, suffix); i > 0 {
			symbol = symbol[:i]
		}
	}
	return symbol
}

// cython turns __pyx_f_6uvloop_4loop_6Handle__run into uvloop.loop.Handle._run, "" if symbol
// is none of Cython's. Such a name is a prefix for its kind (f, pf, pw), the enclosing names
// each with its length, and for pf and pw a counter before the last.
func cython(symbol string) string {
	rest := ""
	counted := false
	for _, prefix := range []string{"__pyx_f_", "__pyx_pf_", "__pyx_pw_", "__pyx_gb_"} {
		if after, ok := strings.CutPrefix(symbol, prefix); ok {
			rest, counted = after, prefix != "__pyx_f_"
			break
		}
	}
	var parts []string
	for rest != "" {
		part, after, ok := cythonPart(rest)
		if !ok {
			break
		}
		parts, rest = append(parts, part), after
	}
	if len(parts) == 0 || rest == "" {
		return ""
	}
	if counted {
		rest = strings.TrimLeft(rest, "0123456789")
	}
	return strings.Join(append(parts, rest), ".")
}

// cythonPart cuts "6uvloop_" from the front.
func cythonPart(s string) (part, rest string, ok bool) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	length, err := strconv.Atoi(s[:digits])
	end := digits + length
	if err != nil || length == 0 || end < digits || end+1 >= len(s) || s[end] != '_' {
		return "", "", false
	}
	return s[digits:end], s[end+1:], true
}
