package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// Shared is what all users of a run draw from together.
type Shared struct {
	seq  atomic.Int64
	part [2]int64       // of how many loaders, and which one from 0
	next []atomic.Int64 // by data set: of those in sequence
}

// Shared returns a new one, for one run.
func (s *Scenario) Shared() *Shared { return &Shared{next: make([]atomic.Int64, len(s.sets))} }

// Part makes this the i-th, from 1, of n loaders that share a run: none of them counts to a number or takes a
// row in sequence that another one does.
func (s *Shared) Part(i, n int) { s.part = [2]int64{int64(n), int64(i - 1)} }

// among is the n-th of this loader's numbers, from 0.
func (s *Shared) among(n int64) int64 {
	if s.part[0] <= 1 {
		return n
	}
	return n*s.part[0] + s.part[1]
}

// Env is what a user knows while its requests are rendered: variables and rows of data. One per
// user, not shared between goroutines.
type Env struct {
	Rand    *rand.Rand
	User    int // number of the virtual user, from 1
	shared  *Shared
	sets    []*data
	rows    []int // by data set: the row that the user has now
	vars    []variable
	scratch []byte
}

type variable struct {
	set        bool
	text, json []byte
}

// Env returns what a user of this number knows at first: nothing, and its own row of the data
// sets whose rows are unique.
func (s *Scenario) Env(shared *Shared, r *rand.Rand, user int) Env {
	e := Env{Rand: r, User: user, shared: shared, sets: s.sets}
	if len(s.sets) > 0 {
		e.rows = make([]int, len(s.sets))
		for i, d := range s.sets {
			if d.order == unique {
				e.rows[i] = (user - 1) % d.count()
			}
		}
	}
	if len(s.variables) > 0 {
		e.vars = make([]variable, len(s.variables))
	}
	return e
}

// CheckUsers reports data sets that do not have a row of its own for each user. In the open
// model, each arrival that finds all users busy makes another one, up to MaxInFlight.
func (s *Scenario) CheckUsers() error {
	for _, d := range s.sets {
		switch {
		case d.order != unique || !d.used:
		case s.Rate > 0 && (s.MaxInFlight == 0 || s.MaxInFlight > d.count()):
			return fmt.Errorf("data set %s has %d rows, and its order is unique: in the open model add max_in_flight: %d, or write order: random", d.name, d.count(), d.count())
		case s.Rate == 0 && s.Users > d.count():
			return fmt.Errorf("data set %s has %d rows for %d users, and its order is unique: add rows, take fewer users, or write order: random", d.name, d.count(), s.Users)
		}
	}
	return nil
}

// Begin draws the rows that the steps of a sequence use.
func (e *Env) Begin(q *Sequence) {
	for _, i := range q.draws {
		switch d := e.sets[i]; d.order {
		case random:
			e.rows[i] = e.Rand.IntN(d.count())
		case sequential:
			e.rows[i] = int(e.shared.among(e.shared.next[i].Add(1)-1) % int64(d.count()))
		}
	}
}

// Assign gives variables their values.
func (e *Env) Assign(list []Assign) {
	for _, a := range list {
		v := &e.vars[a.variable]
		if expr := a.value.single(); expr != nil { // keeps the type of its result
			v.setJSON(expr(v.json[:0], e, asJSON))
		} else {
			v.setText(a.value.Append(v.text[:0], e))
		}
	}
}

// setJSON takes a value in its JSON form.
func (v *variable) setJSON(raw []byte) {
	v.json, v.set = raw, true
	v.text = v.text[:0]
	switch n := len(raw); {
	case n < 2 || raw[0] != '"':
		v.text = append(v.text, raw...)
	case bytes.IndexByte(raw, '\\') < 0:
		v.text = append(v.text, raw[1:n-1]...)
	default:
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		v.text = append(v.text, s...)
	}
}

// setText takes a value that is text.
func (v *variable) setText(text []byte) {
	v.text, v.set = text, true
	v.json = appendQuoted(v.json[:0], text)
}

// Ready says whether the user has the variables that the step needs.
func (e *Env) Ready(s *Step) bool {
	for _, i := range s.Needs {
		if !e.vars[i].set {
			return false
		}
	}
	return true
}

// Brought says whether the sequence's answers have brought all that they were to.
func (e *Env) Brought(q *Sequence) bool {
	for i := range q.Steps {
		for _, s := range q.Steps[i].Task.Save {
			if !e.vars[s.variable].set {
				return false
			}
		}
	}
	return true
}
