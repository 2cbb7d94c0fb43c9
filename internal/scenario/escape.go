package scenario

import (
	"encoding/json"
	"strconv"
)

// escaping is how a value is written where it stands.
type escaping uint8

const (
	asText      escaping = iota // as it is
	asPath                      // a path segment
	asQuery                     // after the ? of a path
	asJSON                      // a whole JSON value
	asJSONInner                 // between the quotes of a JSON string
)

// value is text and its JSON form.
type value struct{ text, json string }

func (v *value) append(dst []byte, as escaping) []byte {
	return appendValue(dst, v.text, v.json, as)
}

// appendValue writes a value that is known in both forms.
func appendValue[T string | []byte](dst []byte, text, json T, as escaping) []byte {
	switch as {
	case asPath, asQuery:
		return appendPercent(dst, text, as)
	case asJSON:
		return append(dst, json...)
	case asJSONInner:
		if len(json) > 1 && json[0] == '"' {
			return append(dst, json[1:len(json)-1]...)
		}
		if !needsEscape(text) {
			return append(dst, text...)
		}
		quoted := quoteJSON(string(text)) // a list or an object inside text: rare
		return append(dst, quoted[1:len(quoted)-1]...)
	}
	return append(dst, text...)
}

// appendPlain writes text of characters that no escaping changes.
func appendPlain[T string | []byte](dst []byte, text T, as escaping) []byte {
	if as == asJSON {
		dst = append(dst, '"')
		dst = append(dst, text...)
		return append(dst, '"')
	}
	return append(dst, text...)
}

func appendNumber(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

const hexDigits = "0123456789ABCDEF"

// appendPercent escapes like url.PathEscape and url.QueryEscape.
func appendPercent[T string | []byte](dst []byte, s T, as escaping) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~',
			as == asPath && (c == '$' || c == '&' || c == '+' || c == '=' || c == ':' || c == '@'):
			dst = append(dst, c)
		case as == asQuery && c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// appendQuoted writes text as a JSON string, without garbage where nothing is to be escaped.
func appendQuoted(dst, text []byte) []byte {
	if needsEscape(text) {
		return append(dst, quoteJSON(string(text))...)
	}
	dst = append(append(dst, '"'), text...)
	return append(dst, '"')
}

// needsEscape says whether a JSON string must not hold the text as it is; in doubt, yes.
func needsEscape[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return true
		}
	}
	return false
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // json.Marshal of a string does not fail
		return `""`
	}
	return string(b)
}
