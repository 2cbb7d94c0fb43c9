package h1

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strconv"
)

// Bounds of what a server may send around a body.
const (
	maxHead    = 64 << 10 // bytes of heads and trailers of one answer; Python allows as much for one line
	maxInterim = 64       // 1xx answers before the final one
)

// Malformed is an answer that is not HTTP.
type Malformed struct {
	What string
	Body bool // its head is fine
}

func (m *Malformed) Error() string {
	if m.Body {
		return "the answer's body is malformed: " + m.What
	}
	return "the answer is not HTTP: " + m.What
}

func malformed(format string, args ...any) error {
	return &Malformed{What: fmt.Sprintf(format, args...)}
}

func badBody(format string, args ...any) error {
	return &Malformed{What: fmt.Sprintf(format, args...), Body: true}
}

// Encoding is how a body is compressed.
type Encoding uint8

// The encodings.
const (
	Identity Encoding = iota
	Gzip
	Deflate
	Unknown // any other, or several
)

// Head is what a client needs of the head of one answer. The zero value is ready for Reset.
type Head struct {
	Status   int
	Reason   []byte   // lent until the next Reset, as are the other texts
	Encoding Encoding // of the content
	Location []byte
	Cookies  [][]byte // values of set-cookie
	Retry    []byte   // value of retry-after
	KeepAll  bool     // keep every field for Header; stays through Reset

	minor     int   // of HTTP/1.x
	length    int64 // -1: not said
	chunked   bool
	keepAlive bool // said so
	close     bool // said so
	begun     bool // the status line is there
	foldable  bool // a field came before, so that it may be continued
	known     bool // … and it is one of those read here
	interim   int
	size      int
	text      []byte // holds the texts
	fields    [][2][]byte
}

// Reset makes ready for the next answer.
func (h *Head) Reset() {
	*h = Head{length: -1, text: h.text[:0], Cookies: h.Cookies[:0], KeepAll: h.KeepAll, fields: h.fields[:0]}
}

// Parse takes the whole lines at the start of b and says how many bytes they were; done is
// true when the head is complete: b[n:] is the body, or what follows an interim answer.
func (h *Head) Parse(b []byte) (n int, done bool, err error) {
	for {
		end := bytes.IndexByte(b[n:], '\n')
		if end < 0 {
			if h.size+len(b)-n > maxHead {
				return n, false, malformed("its head is longer than %d kB", maxHead>>10)
			}
			return n, false, nil
		}
		line := b[n : n+end]
		n += end + 1
		if h.size += end + 1; h.size > maxHead {
			return n, false, malformed("its head is longer than %d kB", maxHead>>10)
		}
		if len(line) > 0 && line[len(line)-1] == '\r' {
			line = line[:len(line)-1]
		}
		switch {
		case !h.begun:
			err = h.statusLine(line)
		case len(line) == 0:
			return n, true, nil
		default:
			err = h.field(line)
		}
		if err != nil {
			return n, false, err
		}
	}
}

// Interim says whether the complete head is that of an interim answer: another one follows.
func (h *Head) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Next makes ready for the answer after an interim one.
func (h *Head) Next() error {
	interim, size := h.interim+1, h.size
	if interim > maxInterim {
		return malformed("more than %d interim answers", maxInterim)
	}
	h.Reset()
	h.interim, h.size = interim, size
	return nil
}

// statusLine reads "HTTP/1.1 200 OK".
func (h *Head) statusLine(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' || line[7] != '0' && line[7] != '1' {
		return malformed("it begins with %q", clip(line))
	}
	h.minor = int(line[7] - '0')
	rest := line[9:]
	for i := range 3 {
		if rest[i] < '0' || rest[i] > '9' {
			return malformed("it begins with %q", clip(line))
		}
		h.Status = h.Status*10 + int(rest[i]-'0')
	}
	if h.Status < 100 || len(rest) > 3 && rest[3] != ' ' {
		return malformed("it begins with %q", clip(line))
	}
	if len(rest) > 4 {
		h.Reason = h.keep(bytes.TrimLeft(rest[4:], " "))
	}
	h.begun = true
	return nil
}

// keep copies b into the head's own memory.
func (h *Head) keep(b []byte) []byte {
	from := len(h.text)
	h.text = append(h.text, b...)
	return h.text[from:len(h.text):len(h.text)]
}

// field reads one header field, or a further line of one.
func (h *Head) field(line []byte) error {
	if line[0] == ' ' || line[0] == '\t' { // obsolete folding, RFC 9112 §5.2
		if !h.foldable || h.known {
			return malformed("a header field goes on in the line %q", clip(line))
		}
		return nil
	}
	name, value, err := cut(line)
	if err != nil {
		return err
	}
	if h.KeepAll {
		h.fields = append(h.fields, [2][]byte{h.keep(name), h.keep(value)})
	}
	h.foldable, h.known = true, true
	switch len(name) {
	case len("location"):
		if is(name, "location") {
			h.Location = h.keep(value)
			return nil
		}
	case len("connection"):
		switch {
		case is(name, "connection"):
			h.close = h.close || listed(value, "close")
			h.keepAlive = h.keepAlive || listed(value, "keep-alive")
			return nil
		case is(name, "set-cookie"):
			h.Cookies = append(h.Cookies, h.keep(value))
			return nil
		}
	case len("retry-after"):
		if is(name, "retry-after") {
			h.Retry = h.keep(value)
			return nil
		}
	case len("content-length"):
		if is(name, "content-length") {
			return h.contentLength(value)
		}
	case len("content-encoding"):
		if is(name, "content-encoding") {
			h.contentEncoding(value)
			return nil
		}
	case len("transfer-encoding"):
		if is(name, "transfer-encoding") {
			return h.transferEncoding(value)
		}
	}
	h.known = false
	return nil
}

func (h *Head) contentLength(value []byte) error {
	n, ok := digits(value)
	if !ok || h.length >= 0 && h.length != n {
		return malformed("content-length %q", clip(value))
	}
	h.length = n
	return nil
}

// digits reads a decimal number that fits into an int64.
func digits(b []byte) (int64, bool) {
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}

func (h *Head) contentEncoding(value []byte) {
	switch {
	case h.Encoding != Identity:
		h.Encoding = Unknown
	case is(value, "gzip"), is(value, "x-gzip"):
		h.Encoding = Gzip
	case is(value, "deflate"):
		h.Encoding = Deflate
	case !is(value, "identity") && len(value) > 0:
		h.Encoding = Unknown
	}
}

func (h *Head) transferEncoding(value []byte) error {
	if h.minor == 0 { // RFC 9112 §6.1: not defined there; the body lasts until the end
		h.close = true
		return nil
	}
	if h.chunked || !is(value, "chunked") {
		return malformed("transfer-encoding %q is not known", clip(value))
	}
	h.chunked = true
	return nil
}

// Header returns all fields, if KeepAll was set before they came. It makes garbage.
func (h *Head) Header() http.Header {
	out := http.Header{}
	for _, f := range h.fields {
		out.Add(string(f[0]), string(f[1]))
	}
	return out
}

// Reusable says whether another request may follow on the connection once the body is read.
func (h *Head) Reusable() bool {
	switch {
	case h.close, h.Status == 101, h.chunked && h.length >= 0: // both: RFC 9112 §6.3 distrusts the sender
		return false
	}
	return h.minor > 0 || h.keepAlive
}

// cut parts a header line as RFC 9112 §5 demands: no space before the colon, none around the value.
func cut(line []byte) (name, value []byte, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return nil, nil, malformed("the header line %q", clip(line))
	}
	name, value = line[:colon], line[colon+1:]
	for _, c := range name {
		if !token[c] {
			return nil, nil, malformed("the header line %q", clip(line))
		}
	}
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, malformed("the header line %q", clip(line))
		}
	}
	return name, value, nil
}

// token are the bytes of names (RFC 9110 §5.6.2).
var token = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c < 0x80 && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0
	}
	return t
}()

// is compares a name of ASCII letters, whatever their case; lower is in lower case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// listed says whether a comma-separated list holds a word.
func listed(list []byte, word string) bool {
	for len(list) > 0 {
		item, rest, _ := bytes.Cut(list, []byte{','})
		if is(bytes.Trim(item, " \t"), word) {
			return true
		}
		list = rest
	}
	return false
}

func clip(b []byte) string {
	const most = 40
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}

// String is the status with its reason, "200 OK".
func (h *Head) String() string { return strconv.Itoa(h.Status) + " " + string(h.Reason) }
