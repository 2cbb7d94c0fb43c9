package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// More is what an answer must be beyond its status. Paths are those of gjson: a.b, items.0.id.
type More struct {
	Regexp  *regexp.Regexp // the body matches
	Has     [][]string     // of each list of paths the JSON body has one
	JSON    []FieldCheck
	Headers []HeaderCheck
	Time    time.Duration // actual send to end, at most
}

// FieldCheck demands a value of a field of a JSON body.
type FieldCheck struct {
	Path string
	want gjson.Result
}

// HeaderCheck demands a header that contains a text, which may be "".
type HeaderCheck struct{ Name, Contains string }

// Fields are the header fields of an answer; Get returns "" for those that are not there.
type Fields interface{ Get(name string) string }

// Complaint says what is wrong with an answer; "" when nothing is.
func (m *More) Complaint(header Fields, body []byte, took time.Duration) string {
	for _, h := range m.Headers {
		if got := header.Get(h.Name); got == "" || !strings.Contains(got, h.Contains) {
			return fmt.Sprintf("header %s is %q, expected it to contain %q", h.Name, got, h.Contains)
		}
	}
	if m.Regexp != nil && !m.Regexp.Match(body) {
		return fmt.Sprintf("the answer does not match %q", m.Regexp)
	}
	if len(m.Has)+len(m.JSON) > 0 {
		if !gjson.ValidBytes(body) {
			return "the answer is not JSON"
		}
		if text := m.fields(body); text != "" {
			return text
		}
	}
	if m.Time > 0 && took > m.Time {
		return fmt.Sprintf("took longer than %v", m.Time)
	}
	return ""
}

func (m *More) fields(body []byte) string {
	for _, any := range m.Has {
		found := false
		for _, path := range any {
			found = found || gjson.GetBytes(body, path).Exists()
		}
		if !found {
			return "the answer has no field " + strings.Join(any, " or ")
		}
	}
	for _, c := range m.JSON {
		if got := gjson.GetBytes(body, c.Path); !equal(got, c.want) {
			return fmt.Sprintf("field %s is %s, expected %s", c.Path, orNothing(got.Raw), c.want.Raw)
		}
	}
	return ""
}

func orNothing(raw string) string {
	if raw == "" {
		return "not there"
	}
	return raw
}

func equal(a, b gjson.Result) bool {
	if a.Type != b.Type {
		return false
	}
	switch a.Type {
	case gjson.String:
		return a.Str == b.Str
	case gjson.Number:
		return a.Num == b.Num
	case gjson.JSON:
		return compact(a.Raw) == compact(b.Raw)
	}
	return true
}

func compact(raw string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(raw)) != nil {
		return raw
	}
	return b.String()
}
