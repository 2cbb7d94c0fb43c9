package locustfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Problem is a part of a locustfile that the scenario does not have.
type Problem struct {
	File string
	Line int
	What string // its text
	Why  string
	Note bool // nothing that is sent or checked is lost; only worth knowing
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.What, p.Why) }

// Result is a converted locustfile.
type Result struct {
	Scenario []byte // YAML
	Problems []Problem
}

// Lost are the problems that change what is sent or checked.
func (r *Result) Lost() []Problem {
	return slices.DeleteFunc(slices.Clone(r.Problems), func(p Problem) bool { return p.Note })
}

// Convert translates a locustfile. An error means that there is no scenario at all.
func Convert(file string) (*Result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("locustfile: %w", err)
	}
	tree, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	c := &converter{
		file: file, lines: strings.Split(string(text), "\n"), globals: map[string]value{}, classes: map[string]node{},
		functions: map[string]node{}, variables: map[string]bool{}, data: map[string][]value{},
	}
	c.module(tree)
	doc, err := c.document()
	if err != nil {
		return nil, err
	}
	out, err := yaml.MarshalWithOptions(doc, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("locustfile: %w", err)
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Line - b.Line })
	res := &Result{append([]byte("# Converted from "+filepath.Base(file)+" by loader convert.\n"), append(bytes.TrimRight(out, "\n"), '\n')...), c.problems}
	if _, err := scenario.Parse("converted "+file, res.Scenario, os.DirFS(filepath.Dir(file)), scenario.Options{}); err != nil {
		return res, fmt.Errorf("the converted scenario needs a hand:\n%w", err)
	}
	return res, nil
}

// converter is one locustfile that is being translated.
type converter struct {
	file      string
	lines     []string
	globals   map[string]value
	classes   map[string]node
	order     []string // of the classes
	functions map[string]node
	data      map[string][]value // data sets of the scenario
	dataNames []string
	variables map[string]bool
	inlined   int // functions that are being inlined
	insecure  bool
	problems  []Problem
}

func (c *converter) lost(n node, why string, args ...any) {
	c.problem(Problem{File: c.file, Line: n.line(), What: c.source(n), Why: fmt.Sprintf(why, args...)})
}

func (c *converter) note(n node, why string, args ...any) {
	c.problem(Problem{File: c.file, Line: n.line(), What: c.source(n), Why: fmt.Sprintf(why, args...), Note: true})
}

// problem keeps a problem once: inherited code is translated for each class.
func (c *converter) problem(p Problem) {
	if !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

// module reads the top level.
func (c *converter) module(tree node) {
	for _, n := range tree.list("body") {
		switch n.kind() {
		case "ClassDef":
			c.classes[n.text("name")] = n
			c.order = append(c.order, n.text("name"))
		case "FunctionDef":
			c.functions[n.text("name")] = n
		case "Assign", "AnnAssign":
			if name, v := assigned(n); name != "" && v != nil {
				if got, ok := c.quiet(v, &scope{}); ok {
					c.globals[name] = got
				}
			}
		}
	}
	for _, n := range tree.list("body") {
		c.outside(n)
	}
}

// outside reports what the top level does beside defining users.
func (c *converter) outside(n node) {
	switch n.kind() {
	case "FunctionDef", "AsyncFunctionDef":
		for _, d := range n.list("decorator_list") {
			if name := strings.TrimSuffix(d.dotted(), ".add_listener"); strings.HasPrefix(name, "events.") && !c.harmless(n.list("body")) {
				c.lost(d, "event hooks are not run")
			}
		}
	case "ClassDef":
		if c.descends(n, "LoadTestShape") {
			c.lost(c.head(n), "a load shape is code; write its steps as stages: [{users: 50, duration: 1m}, …]")
		}
	case "If":
		if first(n.at("test").list("comparators"))["value"] != "__main__" && !c.harmless([]node{n}) {
			c.lost(c.head(n), "what is defined under a condition is not translated")
		}
	case "Expr":
		if call := n.at("value"); strings.HasPrefix(call.called(), "events.") {
			c.lost(call, "event hooks are not run")
		}
	}
}

// head is a node with the place of the first line of another.
func (c *converter) head(n node) node {
	line := n["@"].([]any)
	end := n.line()
	return node{"_": n.kind(), "@": []any{line[0], line[1], line[0], number(len(c.lines[end-1]))}}
}

// assigned returns the single name that a statement gives a value to, and the value.
func assigned(n node) (string, node) {
	target := n.at("target")
	if n.is("Assign") {
		if list := n.list("targets"); len(list) == 1 {
			target = list[0]
		}
	}
	return target.dotted(), n.at("value")
}

// harmless says whether statements change nothing of what is sent or checked.
func (c *converter) harmless(body []node) bool {
	for _, n := range body {
		if !c.harmlessStatement(n) {
			return false
		}
	}
	return true
}

func (c *converter) harmlessStatement(n node) bool {
	switch n.kind() {
	case "Pass", "Import", "ImportFrom", "Global":
		return true
	case "Return":
		return n.at("value") == nil || n.at("value").is("Constant")
	case "Expr":
		v := n.at("value")
		name := v.called()
		last := name[strings.LastIndexByte(name, '.')+1:]
		return v.is("Constant") || name == "print" || strings.Contains(strings.ToLower(name), "log") && slices.Contains([]string{"debug", "info", "warning", "warn", "error", "exception", "critical", "log"}, last)
	case "If":
		return c.harmless(n.list("body")) && c.harmless(n.list("orelse"))
	case "For", "With":
		return c.harmless(n.list("body"))
	case "Try":
		for _, h := range n.list("handlers") {
			if !c.harmless(h.list("body")) {
				return false
			}
		}
		return c.harmless(n.list("body")) && c.harmless(n.list("orelse")) && c.harmless(n.list("finalbody"))
	case "Assign", "AnnAssign", "AugAssign": // of a local name: what uses it is looked at where it is used
		name, v := assigned(n)
		return name != "" && !strings.Contains(name, ".") && !contains(v, "client") && !contains(v, "exit_code")
	}
	return false
}

// contains says whether an attribute of this name stands anywhere below a node.
func contains(n any, attr string) bool {
	switch n := n.(type) {
	case node:
		return contains(map[string]any(n), attr)
	case map[string]any:
		if n["attr"] == attr {
			return true
		}
		for _, v := range n {
			if contains(v, attr) {
				return true
			}
		}
	case []any:
		for _, v := range n {
			if contains(v, attr) {
				return true
			}
		}
	}
	return false
}
