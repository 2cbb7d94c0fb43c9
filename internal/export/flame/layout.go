package flame

// Geometry in pixels. The font is monospaced so that a text's width is known without a
// browser: a character takes 0.602 em in all of the fonts named in style.css.
const (
	width      = 1200
	margin     = 16
	graphWidth = width - 2*margin
	footHeight = 34
	rowHeight  = 18
	charWidth  = 6.63 // at 11 px
	minWidth   = 0.2  // narrower frames are left out
)

// box is a node's place. X and Width are shares of the whole, Row counts from the endpoints.
type box struct {
	*node
	x, width float64
	row      int
	endpoint *node // whose it is
}

// layout is a placed tree.
type layout struct {
	boxes  []box // parents before children
	rows   int
	total  *node
	hidden int // frames too narrow to draw
}

func layOut(root *node) layout {
	l := layout{total: root}
	if root.value <= 0 {
		return l
	}
	l.place(root, 0, -1, nil)
	return l
}

func (l *layout) place(n *node, x float64, row int, endpoint *node) {
	for _, c := range n.children {
		w := float64(c.value) / float64(l.total.value)
		if w*graphWidth < minWidth {
			l.hidden += c.count()
			continue
		}
		owner := endpoint
		if owner == nil {
			owner = c
		}
		l.boxes = append(l.boxes, box{node: c, x: x, width: w, row: row + 1, endpoint: owner})
		l.rows = max(l.rows, row+2)
		l.place(c, x, row+1, owner)
		x += w
	}
}

// count is the node and all below it.
func (n *node) count() int {
	sum := 1
	for _, c := range n.children {
		sum += c.count()
	}
	return sum
}
