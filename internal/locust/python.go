package locust

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// pyFloat is Python's repr of a float: the shortest text that reads back, with an exponent
// below 1e-4 and from 1e16 up (CPython, float_repr_style short).
func pyFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	scientific := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(scientific, "e")
	if e, err := strconv.Atoi(exponent); err == nil && (e < -4 || e >= 16) {
		return scientific
	}
	plain := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(plain, ".") {
		plain += ".0"
	}
	return plain
}

// pyRepr is Python's repr of a str: single quotes, or double ones when the text holds single
// ones and no double ones.
func pyRepr(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var sb strings.Builder
	sb.WriteByte(quote)
	for _, r := range s {
		switch {
		case pyEscape(&sb, r, rune(quote)):
		case r == ' ' || unicode.IsPrint(r):
			sb.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&sb, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&sb, `\u%04x`, r)
		default:
			fmt.Fprintf(&sb, `\U%08x`, r)
		}
	}
	sb.WriteByte(quote)
	return sb.String()
}

// pyEscape writes what both repr and json.dumps escape by a backslash and one character.
func pyEscape(sb *strings.Builder, r, quote rune) bool {
	switch r {
	case quote, '\\':
	case '\n':
		r = 'n'
	case '\r':
		r = 'r'
	case '\t':
		r = 't'
	default:
		return false
	}
	sb.WriteByte('\\')
	sb.WriteRune(r)
	return true
}

// csvRow writes one row as Python's csv.writer does: CRLF, quotes only where they are needed.
func csvRow(dst []byte, cells ...string) []byte {
	for i, c := range cells {
		if i > 0 {
			dst = append(dst, ',')
		}
		if strings.ContainsAny(c, ",\"\r\n") {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		dst = append(dst, c...)
	}
	return append(dst, '\r', '\n')
}

// pyJSON writes values as json.dumps(…, indent=4) does.
type pyJSON struct {
	strings.Builder
	depth int
	count []int // members written so far, by depth
}

func (j *pyJSON) open(bracket byte) {
	j.WriteByte(bracket)
	j.depth++
	j.count = append(j.count, 0)
}

func (j *pyJSON) close(bracket byte) {
	n := j.count[len(j.count)-1]
	j.count = j.count[:len(j.count)-1]
	j.depth--
	if n > 0 {
		j.newLine()
	}
	j.WriteByte(bracket)
}

// next begins a member of the innermost object or array.
func (j *pyJSON) next() {
	if j.count[len(j.count)-1]++; j.count[len(j.count)-1] > 1 {
		j.WriteByte(',')
	}
	j.newLine()
}

func (j *pyJSON) newLine() {
	j.WriteByte('\n')
	for range j.depth {
		j.WriteString("    ")
	}
}

func (j *pyJSON) key(name string) {
	j.next()
	j.WriteString(pyJSONString(name) + ": ")
}

func (j *pyJSON) member(name, value string) {
	j.key(name)
	j.WriteString(value)
}

// pyJSONString quotes as json.dumps with ensure_ascii does.
func pyJSONString(s string) string {
	var sb strings.Builder
	sb.WriteByte('"')
	for _, r := range s {
		switch {
		case pyEscape(&sb, r, '"'):
		case r == '\b':
			sb.WriteString(`\b`)
		case r == '\f':
			sb.WriteString(`\f`)
		case r >= ' ' && r < 0x7f:
			sb.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&sb, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&sb, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	sb.WriteByte('"')
	return sb.String()
}
