package locustfile

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

//go:embed dump.py
var dumper string

// parseTimeout bounds the parsing of one file.
const parseTimeout = 20 * time.Second

// node is a node of Python's syntax tree: its fields by their names in Python's module ast, its
// class under "_" and its place under "@".
type node map[string]any

// parse reads a module's syntax tree with the Python that is at hand.
func parse(file string, text []byte) (node, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if python, err = exec.LookPath("python"); err != nil {
			return nil, errors.New("a locustfile is read with Python's own parser, and there is no python3 on the PATH: install Python 3.8 or later, or write a scenario file")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), parseTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-I", "-c", dumper)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s cannot parse %s: %w: %s", python, file, err, strings.TrimSpace(errOut.String()))
	}
	var answer struct {
		Tree         node
		Line, Column int
		Error        string
	}
	d := json.NewDecoder(&out)
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s:%d:%d: not valid Python: %s", file, answer.Line, answer.Column, answer.Error)
	}
	return answer.Tree, nil
}

func (n node) kind() string { s, _ := n["_"].(string); return s }

func (n node) is(kind string) bool { return n.kind() == kind }

func (n node) place(i int) int {
	list, _ := n["@"].([]any)
	if i >= len(list) {
		return 0
	}
	v, _ := list[i].(json.Number)
	k, _ := v.Int64()
	return int(k)
}

func (n node) line() int { return n.place(0) }

// at returns the node in a field, nil when there is none.
func (n node) at(field string) node {
	m, _ := n[field].(map[string]any)
	return m
}

// list returns the nodes in a field.
func (n node) list(field string) []node {
	items, _ := n[field].([]any)
	var out []node
	for _, i := range items {
		m, _ := i.(map[string]any)
		out = append(out, m)
	}
	return out
}

// text returns a field that is a string.
func (n node) text(field string) string { s, _ := n[field].(string); return s }

// dotted is the written form of a chain of names, "self.client.get"; "" when n is another thing.
func (n node) dotted() string {
	switch n.kind() {
	case "Name":
		return n.text("id")
	case "Attribute":
		if base := n.at("value").dotted(); base != "" {
			return base + "." + n.text("attr")
		}
	}
	return ""
}

// called is the dotted name of what a call calls, "" when n is no call.
func (n node) called() string {
	if !n.is("Call") {
		return ""
	}
	return n.at("func").dotted()
}

// keyword returns an argument by its name.
func (n node) keyword(name string) node {
	for _, k := range n.list("keywords") {
		if k.text("arg") == name {
			return k.at("value")
		}
	}
	return nil
}

// source is the text of a node, on one line.
func (c *converter) source(n node) string {
	from, to := n.place(0)-1, n.place(2)-1
	if from < 0 || to >= len(c.lines) || to < from {
		return n.kind()
	}
	lines := append([]string(nil), c.lines[from:to+1]...)
	if end := n.place(3); end <= len(lines[len(lines)-1]) {
		lines[len(lines)-1] = lines[len(lines)-1][:end]
	}
	if start := n.place(1); start <= len(lines[0]) {
		lines[0] = lines[0][start:]
	}
	text := strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
	text = strings.TrimSuffix(text, ":")
	if runes := []rune(text); len(runes) > 70 {
		text = string(runes[:69]) + "…"
	}
	return text
}
