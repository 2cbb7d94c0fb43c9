package resp

import "github.com/ragscope/ragscope/internal/protocol"

// Reply is one reply, its last byte arrived.
type Reply struct {
	Kind     byte   // the type byte: '+', '-', ':', '$', '*', '_', ',', '#', '!', '=', '(', '%', '~', '>'
	Nil      bool   // "$-1", "*-1" or "_"
	Error    string // first word: "ERR", "MOVED", "WRONGTYPE"; "" where it is no error
	Int      int64  // of ':'
	Elements int    // direct elements of an aggregate; a map's pairs count two
	Nils     int    // nil ones among them
	Push     bool   // '>': out of band, answers no command. (RESP 2 delivers messages as plain arrays.)
	Guessed  bool   // its end was not seen; it is told with the transfer's end
}

// maxDepth bounds nesting; Redis's own replies are at most about five deep.
const maxDepth = 16

// Replies is the server's direction of one connection.
type Replies struct {
	scanner
	joined bool // a first transfer was seen
	open   bool // a reply is under way
	reply  Reply
	left   [maxDepth]int64 // elements to go of each open aggregate
	depth  int
	attr   int // depth + 1 at which an attribute (metadata before the reply proper) is open, else 0

	blobError bool // the payload under way is an error's
	word      [24]byte
	wordLen   int

	out []Reply
}

// NewReplies makes the stream of the direction that carries replies.
func NewReplies() *Replies { return &Replies{} }

// Feed takes the next transfer and returns the replies that end in it, in order.
func (s *Replies) Feed(p protocol.Piece) []Reply {
	s.out = s.out[:0]
	if s.lost && replyLike(p.Head) {
		s.guess()
		s.lost, s.depth, s.attr, s.blobError = false, 0, 0, false
	}
	if !s.joined && len(p.Head) > 2 && has("+-", p.Head[0]) && !replyLike(p.Head) {
		s.lose() // joined in a value that only looks like a reply
	}
	s.joined = true
	s.visible(p.Head)
	if gap := p.Gap(); gap > 0 && !s.lost {
		if !s.hide(gap) {
			s.lose()
		} else if s.skip == 0 {
			s.payloadDone()
		}
	}
	s.visible(p.Tail)
	if s.lost && p.EndsWith("\r\n") {
		s.guess()
	}
	return s.out
}

// guess tells the reply, if any, that was under way when the boundaries were lost.
func (s *Replies) guess() {
	if s.open {
		s.reply.Guessed = true
		s.emit()
	}
}

// replyLike reports whether b begins like a reply: after a loss the bytes may be the middle of a
// value, so a status or error must begin with upper-case letters.
func replyLike(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	switch b[0] {
	case '+', '-':
		return 'A' <= b[1] && b[1] <= 'Z' && 'A' <= b[2] && b[2] <= 'Z'
	case '_':
		return b[1] == '\r' && b[2] == '\n'
	}
	return lengthLine(b, ":$*%~>!=|")
}

func (s *Replies) visible(b []byte) {
	for len(b) > 0 && !s.lost {
		if s.skip > 0 {
			b = s.payload(b)
			continue
		}
		if s.n == 0 && !has("+-:$*_,#!=(%~>|", b[0]) {
			s.lose()
			return
		}
		line, rest, ok := s.cut(b)
		if !ok {
			return
		}
		s.take(line)
		b = rest
	}
}

func (s *Replies) payload(b []byte) []byte {
	if s.blobError && s.skip > 2 {
		s.wordLen += copy(s.word[s.wordLen:], b[:min(s.skip-2, int64(len(b)))])
	}
	if b = s.pass(b); s.skip == 0 {
		s.payloadDone()
	}
	return b
}

func (s *Replies) payloadDone() {
	if s.blobError {
		s.blobError = false
		s.failed(s.word[:s.wordLen])
	}
	s.value()
}

// take takes in a complete line, which begins with a type byte.
func (s *Replies) take(line []byte) {
	kind := line[0]
	top := s.depth == 0
	if top && kind != '|' {
		s.open, s.reply = true, Reply{Kind: kind, Push: kind == '>'}
	}
	switch kind {
	case '+', ',', '#', '(':
		s.value()
	case '-':
		s.failed(line[1:])
		s.value()
	case ':':
		n, ok := number(line[1:])
		if !ok {
			s.open = s.open && !top
			s.lose()
			return
		}
		if top {
			s.reply.Int = n
		}
		s.value()
	case '_':
		s.null()
	default:
		n, ok := number(line[1:])
		if !ok || n > maxBulk {
			s.open = s.open && !top
			s.lose()
			return
		}
		s.sized(kind, n)
	}
}

// sized takes in the line of a value with a length.
func (s *Replies) sized(kind byte, n int64) {
	switch {
	case n < 0 && kind != '$' && kind != '*':
		s.lose()
	case n < 0:
		s.null()
	case has("$!=", kind):
		s.skip = n + 2
		s.blobError, s.wordLen = kind == '!', 0
	default:
		if kind == '%' || kind == '|' {
			n *= 2
		}
		if s.depth == 0 && kind != '|' {
			s.reply.Elements = int(n)
		}
		if kind == '|' && s.attr == 0 && n > 0 {
			s.attr = s.depth + 1
		}
		switch {
		case n == 0 && kind == '|':
		case n == 0:
			s.value()
		case s.depth == maxDepth:
			s.lose()
		default:
			s.left[s.depth] = n
			s.depth++
		}
	}
}

func (s *Replies) null() {
	switch {
	case s.attr != 0:
	case s.depth == 0:
		s.reply.Nil = true
	case s.depth == 1:
		s.reply.Nils++
	}
	s.value()
}

// failed takes in the text of an error that is the reply itself.
func (s *Replies) failed(b []byte) {
	if s.depth > 0 {
		return
	}
	i := 0
	for i < len(b) && i < 24 && ('A' <= b[i] && b[i] <= 'Z' || b[i] == '_' || '0' <= b[i] && b[i] <= '9') {
		i++
	}
	if s.reply.Error = word(b[:i]); i == 0 {
		s.reply.Error = "ERR"
	}
}

// word is string(b), without an allocation for the errors that come in numbers.
func word(b []byte) string {
	for _, w := range [...]string{"ERR", "MOVED", "ASK", "WRONGTYPE", "NOSCRIPT", "LOADING", "BUSY", "OOM", "NOAUTH", "READONLY", "TRYAGAIN", "CLUSTERDOWN"} {
		if string(b) == w {
			return w
		}
	}
	return string(b)
}

// value stands behind a complete value and closes every aggregate that it completes.
func (s *Replies) value() {
	for s.depth > 0 {
		if s.left[s.depth-1]--; s.left[s.depth-1] > 0 {
			return
		}
		s.depth--
		if s.attr == s.depth+1 { // an attribute is no value: what it belongs to follows
			s.attr = 0
			return
		}
	}
	s.emit()
}

func (s *Replies) emit() {
	s.out = append(s.out, s.reply)
	s.open, s.depth, s.attr = false, 0, 0
}
