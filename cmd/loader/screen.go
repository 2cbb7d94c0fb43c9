package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"
)

// console is standard error. Log lines go through it, so that they do not fall into the live table.
var console screen

// screen is a terminal with a block of lines at its end that is drawn again and again, above
// which everything else is written.
type screen struct {
	mu    sync.Mutex
	out   io.Writer // nil: standard error
	lines int       // of the block
}

func (s *screen) writer() io.Writer {
	if s.out == nil {
		return os.Stderr
	}
	return s.out
}

// Write implements io.Writer: the block makes way until it is drawn again.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == 0 {
		return s.writer().Write(p)
	}
	if _, err := s.writer().Write(append(s.erase(nil), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// erase goes to the block's first line and clears all below.
func (s *screen) erase(buf []byte) []byte {
	if s.lines > 0 {
		buf = fmt.Appendf(buf, "\x1b[%dA\r\x1b[J", s.lines)
	}
	s.lines = 0
	return buf
}

// draw puts the block in the place of the one before, in one write, with lines cut to the
// terminal's width: one that wraps would be two.
func (s *screen) draw(columns int, block []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	buf := s.erase(nil)
	for _, line := range block {
		buf = append(append(buf, cut(line, columns)...), '\n')
	}
	s.lines = len(block)
	_, _ = s.writer().Write(buf)
}

func cut(line string, columns int) string {
	if columns <= 0 || utf8.RuneCountInString(line) <= columns {
		return line
	}
	var b bytes.Buffer
	for i, r := range []rune(line) {
		if i == columns-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}
