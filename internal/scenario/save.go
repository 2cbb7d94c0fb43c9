package scenario

import (
	"regexp"
	"strconv"

	"github.com/tidwall/gjson"
)

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
