package scenario

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// headerFields reads headers: without compiling them.
func (r *reader) headerFields(n *node) []field {
	var out []field
	for _, f := range r.fields(n, "headers must be a mapping of names to values") {
		text, ok := r.plain(f.value, "header "+f.name)
		if strings.ContainsAny(f.name+text, "\r\n") || f.name == "" {
			r.fail(f.at, "header %q: names and values stand on one line", f.name)
			continue
		}
		if f.name = http.CanonicalHeaderKey(f.name); ok {
			out = append(out, f)
		}
	}
	return out
}

// override puts headers in the place of others with their names.
func override(base, own []field) []field {
	out := slices.DeleteFunc(slices.Clone(base), func(b field) bool {
		return slices.ContainsFunc(own, func(o field) bool { return o.name == b.name })
	})
	return append(out, own...)
}

// headers compiles the headers of a request: its own, else its class's.
func (r *reader) headers(c *class, own []field) []Header {
	var out []Header
	for _, f := range override(c.headers, own) {
		text, _ := r.plain(f.value, f.name)
		ours := slices.ContainsFunc(own, func(o field) bool { return o.name == f.name })
		if v, ok := r.unlessEarly(ours, func() *Template { return r.template(f.value, text, asText) }); ok {
			out = append(out, Header{f.name, v})
		}
	}
	if c.auth == nil || slices.ContainsFunc(out, func(h Header) bool { return h.Name == "Authorization" }) {
		return out
	}
	if v, ok := r.unlessEarly(false, func() *Template { return r.auth(c.auth) }); ok {
		out = append(out, Header{"Authorization", v})
	}
	return out
}

// unlessEarly compiles what a class gives to all its requests. Requests of on_start do not get
// what needs variables that on_start has not brought yet.
func (r *reader) unlessEarly(ours bool, compile func() *Template) (*Template, bool) {
	errs, needs, draws := len(r.errs), slices.Clone(r.needs), slices.Clone(r.draws)
	r.early = false
	t := compile()
	if !ours && r.starting && r.early {
		r.errs, r.needs, r.draws = r.errs[:errs], needs, draws
		return nil, false
	}
	return t, true
}

// auth compiles {bearer: TOKEN} or {basic: {user: …, password: …}} into the value of the header.
func (r *reader) auth(n *node) *Template {
	f := r.mapping(n, "auth", authFields)
	bearer, basic := f["bearer"], f["basic"]
	switch {
	case (bearer == nil) == (basic == nil):
		r.fail(n, "auth needs one of bearer: \"{{ env \"API_TOKEN\" }}\" and basic: {user: …, password: …}")
	case bearer != nil:
		return r.template(bearer, "Bearer "+r.text(bearer, "bearer"), asText)
	default:
		f := r.mapping(basic, "basic", basicFields)
		if f["user"] == nil || f["password"] == nil {
			r.fail(basic, "basic needs user and password")
			break
		}
		t := r.template(f["user"], r.text(f["user"], "user"), asText)
		t.parts = append(t.parts, part{text: ":"})
		t.parts = append(t.parts, r.template(f["password"], r.text(f["password"], "password"), asText).parts...)
		return &Template{[]part{{text: "Basic "}, {expr: t.base64}}}
	}
	return literal("")
}

// base64 is an expression: the template's text in base64.
func (t *Template) base64(dst []byte, e *Env, _ escaping) []byte {
	e.scratch = t.Append(e.scratch[:0], e)
	return base64.StdEncoding.AppendEncode(dst, e.scratch)
}
