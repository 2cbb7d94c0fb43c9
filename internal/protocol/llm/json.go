package llm

import "bytes"

// walk calls visit with each key of the JSON text b, however deep, and the bytes from its value
// on. depth is 1 for the keys of the outermost object. b may end anywhere.
func walk(b []byte, visit func(depth int, key, value []byte)) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := quoted(b, i)
			if end < 0 {
				return
			}
			v := space(b, end+1)
			if v == len(b) || b[v] != ':' {
				i = end
				continue
			}
			v = space(b, v+1)
			visit(depth, b[i+1:end], b[v:])
			i = v - 1
		}
	}
}

// quoted is the index of the quote that ends the string that begins at b[i], or -1.
func quoted(b []byte, i int) int {
	for from := i + 1; ; {
		k := bytes.IndexByte(b[from:], '"')
		if k < 0 {
			return -1
		}
		k += from
		slashes := 0
		for k-1-slashes > i && b[k-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return k
		}
		from = k + 1
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// says reports whether v begins with a string that is not empty.
func says(v []byte) bool { return len(v) > 1 && v[0] == '"' && v[1] != '"' }

// text is the string at the front of v, without its quotes, escapes as they are; "" where it does not end in v.
func text(v []byte) []byte {
	if len(v) == 0 || v[0] != '"' {
		return nil
	}
	if end := quoted(v, 0); end > 0 {
		return v[1:end]
	}
	return nil
}

func isTrue(v []byte) bool { return bytes.HasPrefix(v, []byte("true")) }

// number is the non-negative integer at the front of v. The byte behind it must be there, so that
// no digit can be missing.
func number(v []byte) (n int, ok bool) {
	i := 0
	for i < len(v) && i < 12 && '0' <= v[i] && v[i] <= '9' {
		n = n*10 + int(v[i]-'0')
		i++
	}
	return n, i > 0 && i < len(v) && (v[i] < '0' || v[i] > '9')
}

// find is what follows `"key":` in b, a piece of JSON of which the beginning is unknown, or nil. A quote
// inside a string is escaped, so an unescaped match is a key.
func find(b []byte, key string) []byte {
	for from := 0; ; {
		k := bytes.Index(b[from:], []byte(key))
		if k < 0 {
			return nil
		}
		k += from
		from = k + len(key)
		if k == 0 || b[k-1] != '"' || k > 1 && b[k-2] == '\\' || from >= len(b) || b[from] != '"' {
			continue
		}
		if v := space(b, from+1); v < len(b) && b[v] == ':' {
			return b[space(b, v+1):]
		}
	}
}
