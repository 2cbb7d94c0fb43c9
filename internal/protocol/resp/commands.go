package resp

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/protocol"
)

// Command is one command, its last byte sent.
type Command struct {
	Name      string // upper case, with the subcommand of CLIENT, CONFIG, SCRIPT …; "OTHER" where it does not look like a name
	Keys      int    // keys (or fields) looked up: GET 1, MGET n, HMGET n …; 0 for commands that are no look-ups
	Args      int    // arguments behind the name
	Blocking  bool   // may wait on purpose: BLPOP, XREAD BLOCK …
	PubSub    bool   // changes what the connection carries: SUBSCRIBE …, MONITOR
	Handshake bool   // AUTH, HELLO, SELECT, CLIENT SETINFO, CLIENT SETNAME
	Guessed   bool   // its end was not seen; it is told with the transfer's end
}

// Commands is the client's direction of one connection.
type Commands struct {
	scanner
	parts  int64 // of the command under way, as announced; 0 between commands
	part   int64 // number of the part under way, from 0
	length int64 // of that payload

	word    [longestName]byte // payload of a part that may be needed
	wordLen int
	keep    bool // the payload goes to word

	traits    *traits
	name      string
	blocking  bool
	streams   bool // XREAD's STREAMS was seen: what follows are keys
	inlineLen int

	out []Command
}

// NewCommands makes the stream of the direction that carries commands.
func NewCommands() *Commands { return &Commands{} }

// Feed takes the next transfer and returns the commands that end in it, in order.
func (s *Commands) Feed(p protocol.Piece) []Command {
	s.out = s.out[:0]
	if s.lost && lengthLine(p.Head, "*") {
		s.guess()
		s.lost = false
	}
	s.visible(p.Head)
	if gap := p.Gap(); gap > 0 {
		s.hidden(gap)
	}
	s.visible(p.Tail)
	if s.lost && p.EndsWith("\r\n") {
		s.guess()
	}
	return s.out
}

func (s *Commands) hidden(n int) {
	if s.lost {
		return
	}
	if s.keep = false; !s.hide(n) {
		s.lose()
	} else if s.skip == 0 {
		s.next()
	}
}

// guess tells the command, if any, that was under way when the boundaries were lost.
func (s *Commands) guess() {
	if s.parts == 0 {
		return
	}
	if s.name == "" {
		s.name = other
	}
	s.emit(true)
}

const other = "OTHER"

func (s *Commands) visible(b []byte) {
	for len(b) > 0 && !s.lost {
		if s.skip > 0 {
			b = s.payload(b)
			continue
		}
		if s.parts == 0 && s.n == 0 && (b[0] == '\r' || b[0] == '\n') {
			b = b[1:] // an empty inline command
			continue
		}
		if s.parts == 0 && s.n == 0 && b[0] != '*' && !inline(b) {
			s.lose()
			return
		}
		line, rest, ok := s.cut(b)
		if !ok {
			if s.inlineLen += len(b); s.inlineLen > maxInlineCommand {
				s.lose()
			}
			return
		}
		s.inlineLen = 0
		s.take(line)
		b = rest
	}
}

// take takes in a complete line: "*3", "$4", or an inline command.
func (s *Commands) take(line []byte) {
	if s.parts == 0 && len(line) > 0 && line[0] != '*' {
		s.inlineCommand(line)
		return
	}
	n, ok := int64(0), false
	if len(line) > 1 {
		n, ok = number(line[1:])
	}
	switch {
	case !ok:
		s.lose()
	case s.parts == 0:
		if n > maxCommandParts {
			s.lose()
			return
		}
		s.parts, s.part = max(n, 0), 0
		s.traits, s.name, s.blocking, s.streams = nil, "", false, false
	case line[0] != '$' || n < 0 || n > maxBulk:
		s.lose()
	default:
		s.length, s.skip = n, n+2
		s.keep, s.wordLen = n <= longestName && s.wanted(), 0
	}
}

// wanted reports whether the payload of the part under way says something that is told: the
// name, a container's subcommand, XREAD's options.
func (s *Commands) wanted() bool {
	if s.part == 0 {
		return true
	}
	if s.traits == nil {
		return false
	}
	return s.part == 1 && s.traits.container || s.waits()
}

// waits reports whether the part may be the BLOCK option of XREAD or XREADGROUP.
func (s *Commands) waits() bool {
	return !s.streams && (s.name == "XREAD" || s.name == "XREADGROUP" && s.part > 3)
}

// payload moves through a part's bytes.
func (s *Commands) payload(b []byte) []byte {
	if s.keep {
		if s.skip == s.length+2 && int64(len(b)) >= s.skip { // the whole part in one run, as a rule
			s.learn(b[:s.length])
			s.keep = false
		} else if k := s.skip - 2; k > 0 {
			s.wordLen += copy(s.word[s.wordLen:], b[:min(k, int64(len(b)))])
		}
	}
	if b = s.pass(b); s.skip > 0 {
		return b
	}
	if s.keep {
		s.learn(s.word[:min(int64(s.wordLen), s.length)])
		s.keep = false
	}
	s.next()
	return b
}

// next stands behind a part.
func (s *Commands) next() {
	if s.name == "" {
		s.name = other
	}
	if s.part++; s.part == s.parts {
		s.emit(false)
	}
}

// learn takes in the payload of a wanted part.
func (s *Commands) learn(b []byte) {
	var up [2*longestName + 1]byte
	switch {
	case s.part == 0:
		if upper(up[:longestName], b) {
			if s.traits = commands[string(up[:len(b)])]; s.traits != nil {
				s.name = s.traits.name
			} else {
				s.name = string(up[:len(b)])
			}
		}
	case s.waits():
		s.streams = bytes.EqualFold(b, []byte("STREAMS"))
		s.blocking = s.blocking || bytes.EqualFold(b, []byte("BLOCK"))
	default:
		n := copy(up[:], s.name)
		up[n] = ' '
		if !upper(up[n+1:n+1+longestName], b) {
			return
		}
		full := up[:n+1+len(b)]
		if t := commands[string(full)]; t != nil {
			s.traits, s.name = t, t.name
		}
	}
}

// emit tells the command under way.
func (s *Commands) emit(guessed bool) {
	c := Command{Name: s.name, Args: int(s.parts - 1), Blocking: s.blocking, Guessed: guessed}
	if t := s.traits; t != nil {
		c.Blocking, c.PubSub, c.Handshake = c.Blocking || t.blocking, t.pubsub, t.handshake
		switch t.keys {
		case everyArgument:
			c.Keys = c.Args
		case afterTheFirst, everyButTheLast:
			c.Keys = max(0, c.Args-1)
		default:
			c.Keys = t.keys
		}
	}
	s.out = append(s.out, c)
	s.parts, s.part = 0, 0
}

// inline reports whether b may begin an inline command: only those whose first word is a known
// name, since the middle of a value may look like words too.
func inline(b []byte) bool {
	i := 0
	for i < len(b) && i <= longestName && b[i] != ' ' && b[i] != '\r' && b[i] != '\n' {
		i++
	}
	var up [longestName]byte
	return upper(up[:], b[:i]) && (i == len(b) || commands[string(up[:i])] != nil)
}

// inlineCommand takes in a command of words in one line.
func (s *Commands) inlineCommand(line []byte) {
	words := bytes.Fields(line)
	if len(words) == 0 {
		return
	}
	s.parts, s.traits, s.name, s.blocking, s.streams = int64(len(words)), nil, "", false, false
	for s.part = 0; s.part < min(s.parts, 16); s.part++ {
		if w := words[s.part]; len(w) <= longestName && s.wanted() {
			s.learn(w)
		}
	}
	if s.traits == nil {
		s.parts, s.part = 0, 0
		s.lose()
		return
	}
	s.emit(false)
}
