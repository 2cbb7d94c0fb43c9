package flame

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/stack"
)

// kindEndpoint is the kind of the frames of the first row.
const kindEndpoint = "endpoint"

// node is a function, or where the profile tells them apart one line of it, with all that it
// called.
type node struct {
	nodeKey
	value, samples int64
	children       []*node
	byKey          map[nodeKey]*node
}

type nodeKey struct {
	name, file, kind string
	start, line      int // where the function begins, which line of it ran; 0 where unknown
}

// grow merges the stacks of p into a tree whose first level is the endpoints.
func grow(p *stack.Profile) *node {
	root := &node{}
	for s := range p.All() {
		root.add(s)
		n := root.child(nodeKey{name: s.Endpoint, kind: kindEndpoint})
		n.add(s)
		for _, f := range slices.Backward(s.Frames) {
			n = n.child(nodeKey{nameOf(f), f.File, f.Kind, f.Start, f.Line})
			n.add(s)
		}
	}
	root.sort()
	return root
}

// nameOf is a frame's name. Code without symbols is one node an object, not one an address.
func nameOf(f stack.Frame) string {
	if f.Kind == stack.Native && strings.HasPrefix(f.Function, f.File+"+0x") {
		return f.File + " (no symbols)"
	}
	return f.Function
}

// label is what stands in a frame, place where it is from.
func (n *node) label() string {
	if n.line > 0 {
		return fmt.Sprintf("%s:%d", n.name, n.line)
	}
	return n.name
}

func (n *node) place() string {
	if line := cmp.Or(n.line, n.start); line > 0 {
		return fmt.Sprintf("%s:%d", n.file, line)
	}
	return n.file
}

func (n *node) add(s stack.Stack) {
	n.value += s.Value
	n.samples += s.Samples
}

func (n *node) child(key nodeKey) *node {
	if c := n.byKey[key]; c != nil {
		return c
	}
	if n.byKey == nil {
		n.byKey = map[nodeKey]*node{}
	}
	c := &node{nodeKey: key}
	n.byKey[key] = c
	n.children = append(n.children, c)
	return c
}

// sort puts the largest first: what matters is on the left, in every row.
func (n *node) sort() {
	slices.SortFunc(n.children, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.name, b.name), cmp.Compare(a.file, b.file), cmp.Compare(a.kind, b.kind),
			cmp.Compare(a.start, b.start), cmp.Compare(a.line, b.line))
	})
	n.byKey = nil
	for _, c := range n.children {
		c.sort()
	}
}
