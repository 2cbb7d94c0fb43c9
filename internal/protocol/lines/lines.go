// Package lines finds the lines of a streamed body (NDJSON, event streams) in partly captured
// transfers.
//
// In: the transfers that carry the body, with or without chunked framing around it. Out: its
// lines, and which of their ends were seen. It holds a bounded part of one incomplete line.
package lines

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/chunked"
)

// Line is a line without its line end, or a part of one. Text is valid during the call only.
type Line struct {
	Text      []byte
	FromStart bool // Text begins where the line begins
	ToEnd     bool // Text ends where the line ends
}

// Whole reports that nothing of the line is missing.
func (l Line) Whole() bool { return l.FromStart && l.ToEnd }

const (
	// maxHeld bounds what is held of a line that spans transfers; what goes beyond is told in parts.
	maxHeld = 2048
	// overlap is how much of a part is told again with the next one, so that a word on the seam is seen.
	overlap = 64
)

type framing uint8

const (
	undecided framing = iota
	plain
	inChunks
)

// Reader reads the lines of one body; its zero value stands at the body's beginning.
type Reader struct {
	framing framing
	body    chunked.Follower
	held    []byte
	inside  bool // the line's beginning was told or lost already
	losses  int
}

// Lost counts the gaps that may have hidden lines.
func (r *Reader) Lost() int { return r.losses }

// Held is the incomplete line that is held now.
func (r *Reader) Held() Line { return Line{Text: r.held, FromStart: !r.inside} }

// Feed takes the next transfer and calls visit with each line, or part, that becomes known.
func (r *Reader) Feed(p protocol.Piece, visit func(Line)) {
	if r.framing == undecided && len(p.Head) > 0 {
		if r.framing = plain; chunked.Plausible(p.Head) {
			r.framing, r.body = inChunks, chunked.Follower{}
		}
	}
	r.run(p.Head, visit)
	if gap := p.Gap(); gap > 0 {
		r.gap(gap, visit)
	}
	r.run(p.Tail, visit)
	if r.framing == inChunks && r.body.Lost() {
		r.framing = undecided
	}
}

// Miss tells that transfers may be missing before the next one, and calls visit with what is held.
func (r *Reader) Miss(visit func(Line)) {
	r.gap(1, visit)
	r.framing, r.body = undecided, chunked.Follower{}
}

func (r *Reader) gap(n int, visit func(Line)) {
	r.losses++
	if r.framing == inChunks {
		r.body.Hide(n)
	}
	if len(r.held) > 0 {
		visit(Line{r.held, !r.inside, false})
	}
	r.held, r.inside = r.held[:0], true
}

func (r *Reader) run(b []byte, visit func(Line)) {
	for r.framing == inChunks && len(b) > 0 && !r.body.Done() {
		if r.body.Lost() {
			r.inside = true // read on without the framing, from the next line
			break
		}
		data, n := r.body.Next(b)
		r.content(data, visit)
		b = b[n:]
	}
	if r.framing != inChunks || r.body.Lost() {
		r.content(b, visit)
	}
}

func (r *Reader) content(b []byte, visit func(Line)) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			r.hold(b, visit)
			return
		}
		text := b[:i]
		if len(r.held) > 0 {
			r.hold(text, visit)
			text = r.held
		}
		if n := len(text); n > 0 && text[n-1] == '\r' {
			text = text[:n-1]
		}
		visit(Line{text, !r.inside, true})
		r.held, r.inside = r.held[:0], false
		b = b[i+1:]
	}
}

func (r *Reader) hold(b []byte, visit func(Line)) {
	for {
		k := min(len(b), maxHeld-len(r.held))
		r.held = append(r.held, b[:k]...)
		if b = b[k:]; len(b) == 0 {
			return
		}
		visit(Line{r.held, !r.inside, false})
		r.inside = true
		r.held = append(r.held[:0], r.held[len(r.held)-overlap:]...)
	}
}
