package census

import (
	"slices"
	"strings"
)

const (
	maxUsers = 8    // of a variable
	maxNames = 1024 // in the code of a function
)

// variable is one of a module.
type variable struct {
	key   string
	value uint64
}

// name looks through the variables of a module: those that are containers get its name, and the
// functions that use them. A dictionary of values that hold no others is in none of the collector's
// lists and is found here.
func (w *walk) name(m uint64) {
	name := ""
	var variables []variable
	containers := map[string]uint64{} // by key
	for key, value := range w.entries(w.word(m + 16)) {
		text := w.str(key)
		if text == "__name__" {
			name = w.str(value)
		}
		if strings.HasPrefix(text, "__") {
			continue
		}
		variables = append(variables, variable{text, value})
		w.look(value)
		if _, ok := w.out.Containers[value]; ok {
			containers[text] = value
		}
	}
	for key, address := range containers {
		c := w.out.Containers[address]
		if full := strings.TrimPrefix(name+"."+key, "."); c.Name == "" || full < c.Name {
			c.Name = full
			w.out.Containers[address] = c
		}
	}
	if len(containers) == 0 {
		return
	}
	for _, v := range variables {
		switch w.typeOf(v.value).kind {
		case function:
			w.uses(v.value, v.key, containers)
		case class:
			w.methods(v.value, v.key, containers)
		}
	}
}

// methods notes those of a class; name is what goes before theirs.
func (w *walk) methods(class uint64, name string, containers map[string]uint64) {
	if name != "" {
		name += "."
	}
	for key, value := range w.entries(w.word(class + typeDictAt)) {
		if w.typeOf(value).kind == function {
			w.uses(value, name+w.str(key), containers)
		}
	}
}

// uses notes a function with each container whose variable its code names.
func (w *walk) uses(object uint64, name string, containers map[string]uint64) {
	codeAt, namesAt := uint64(48), uint64(32) // func_code, co_names
	if w.in.Minor <= 9 {
		codeAt = 16
	}
	if w.in.Minor <= 10 {
		namesAt = 64
	}
	names := w.word(w.word(object+codeAt) + namesAt)
	for i := range min(w.word(names+16), maxNames) {
		address, ok := containers[w.str(w.word(names+24+8*i))]
		if !ok {
			continue
		}
		if c := w.out.Containers[address]; len(c.Users) < maxUsers && !slices.Contains(c.Users, name) {
			c.Users = append(c.Users, name)
			slices.Sort(c.Users)
			w.out.Containers[address] = c
		}
	}
}
