package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
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

// Save takes a value from an answer into a variable of the user.
type Save struct {
	Name     string
	variable int
	JSON     string         // path into a JSON body
	Header   string         // or a header
	Regexp   *regexp.Regexp // of the body, or of what JSON or Header found: its first group, or all of the match
}

// Save takes the task's values from an answer that is good. It says what is not there; "" when
// nothing is missing. Variables without a value are forgotten.
func (e *Env) Save(t *Task, header Fields, body []byte) (complaint string) {
	for i := range t.Save {
		s := &t.Save[i]
		v := &e.vars[s.variable]
		v.set = false
		if text := v.take(s, header, body); text != "" && complaint == "" {
			complaint = "save " + s.Name + ": " + text
		}
	}
	return complaint
}

// Forget forgets what the task would have saved.
func (e *Env) Forget(t *Task) {
	for i := range t.Save {
		e.vars[t.Save[i].variable].set = false
	}
}

func (v *variable) take(s *Save, header Fields, body []byte) string {
	from, where := body, "the answer"
	switch {
	case s.JSON != "":
		found := gjson.GetBytes(body, s.JSON)
		if !gjson.ValidBytes(body) || !found.Exists() || found.Type == gjson.Null {
			return "the answer has no JSON field " + s.JSON
		}
		if s.Regexp == nil {
			v.setJSON(append(v.json[:0], found.Raw...))
			return ""
		}
		from, where = []byte(found.String()), "field "+s.JSON
	case s.Header != "":
		from, where = []byte(header.Get(s.Header)), "header "+s.Header
		if len(from) == 0 {
			return "the answer has no header " + s.Header
		}
	}
	if s.Regexp != nil {
		m := s.Regexp.FindSubmatch(from)
		if m == nil {
			return where + " does not match " + strconv.Quote(s.Regexp.String())
		}
		from = m[min(1, len(m)-1)]
	}
	v.setText(append(v.text[:0], from...))
	return ""
}
