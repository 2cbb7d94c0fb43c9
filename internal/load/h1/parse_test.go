package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is what a parser makes of a stream of bytes.
type answer struct {
	status   int
	reason   string
	body     string
	reusable bool
	rest     string // behind the answer
	err      error
}

// parseAnswer parses the final answer in wire, which comes in pieces of the given size.
func parseAnswer(wire []byte, method string, piece int) (a answer) {
	var h Head
	h.Reset()
	var buf []byte
	more := func() bool {
		n := min(piece, len(wire))
		buf, wire = append(buf, wire[:n]...), wire[n:]
		return n > 0
	}
	for {
		n, done, err := h.Parse(buf)
		buf = buf[n:]
		if err == nil && done && h.Interim() {
			if err = h.Next(); err == nil {
				continue
			}
		}
		if err != nil {
			return answer{err: err}
		}
		if done {
			break
		}
		if !more() {
			return answer{err: io.ErrUnexpectedEOF}
		}
	}
	a = answer{status: h.Status, reason: string(h.Reason), reusable: h.Reusable()}
	b := h.Body(method)
	for !b.Complete() {
		data, n, err := b.Next(buf)
		a.body += string(data)
		buf = buf[n:]
		if a.err = err; err != nil {
			return a
		}
		if len(data) == 0 && !b.Complete() && !more() {
			if a.reusable = false; !b.UntilEnd() {
				a.err = io.ErrUnexpectedEOF
			}
			break
		}
	}
	a.rest = string(buf) + string(wire)
	return a
}

func TestParse(t *testing.T) {
	long := strings.Repeat("x", maxHead)
	tests := map[string]struct {
		wire   string
		method string
		want   answer
		err    string
	}{
		"length":              {wire: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokNEXT", want: answer{status: 200, reason: "OK", body: "ok", reusable: true, rest: "NEXT"}},
		"no body":             {wire: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", want: answer{status: 200, reason: "OK", reusable: true}},
		"head":                {wire: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", method: "HEAD", want: answer{status: 200, reason: "OK", reusable: true}},
		"204":                 {wire: "HTTP/1.1 204 No Content\r\n\r\nx", want: answer{status: 204, reason: "No Content", reusable: true, rest: "x"}},
		"304 with a length":   {wire: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", want: answer{status: 304, reason: "Not Modified", reusable: true}},
		"chunks and trailers": {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0A \r\n0123456789\r\n0\r\nDigest: q\r\n\r\nZ", want: answer{status: 200, reason: "OK", body: "abc0123456789", reusable: true, rest: "Z"}},
		"until the end":       {wire: "HTTP/1.1 200 OK\r\n\r\nall of it", want: answer{status: 200, reason: "OK", body: "all of it"}},
		"HTTP/1.0":            {wire: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", want: answer{status: 200, reason: "OK", body: "a"}},
		"HTTP/1.0 keep-alive": {wire: "HTTP/1.0 200 OK\r\nConnection: x, Keep-Alive\r\nContent-Length: 1\r\n\r\na", want: answer{status: 200, reason: "OK", body: "a", reusable: true}},
		"close":               {wire: "HTTP/1.1 200 OK\r\ncOnnection: close\r\nContent-Length: 1\r\n\r\na", want: answer{status: 200, reason: "OK", body: "a"}},
		"interim":             {wire: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", want: answer{status: 200, reason: "OK", body: "a", reusable: true}},
		"101 is final":        {wire: "HTTP/1.1 101 Switching Protocols\r\n\r\nx", want: answer{status: 101, reason: "Switching Protocols", rest: "x"}},
		"no reason":           {wire: "HTTP/1.1 404\nContent-Length: 0\n\n", want: answer{status: 404, reusable: true}},
		"both lengths":        {wire: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", want: answer{status: 200, reason: "OK", body: "a"}},
		"same length twice":   {wire: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", want: answer{status: 200, reason: "OK", body: "a", reusable: true}},
		"folded":              {wire: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\na", want: answer{status: 200, reason: "OK", body: "a", reusable: true}},
		"cut in the body":     {wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", want: answer{status: 200, reason: "OK", body: "ab"}, err: "unexpected EOF"},
		"cut in a chunk":      {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", want: answer{status: 200, reason: "OK", body: "ab"}, err: "unexpected EOF"},
		"cut behind chunks":   {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", want: answer{status: 200, reason: "OK", body: "a"}, err: "unexpected EOF"},
		"cut in the head":     {wire: "HTTP/1.1 200 OK\r\nContent-Le", err: "unexpected EOF"},
		"nothing":             {err: "unexpected EOF"},
		"two lengths":         {wire: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", err: `the answer is not HTTP: content-length "2"`},
		"length of words":     {wire: "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n", err: `the answer is not HTTP: content-length "two"`},
		"length below zero":   {wire: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", err: `the answer is not HTTP: content-length "-1"`},
		"enormous length":     {wire: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", err: `the answer is not HTTP: content-length "99999999999999999999"`},
		"folded length":       {wire: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n", err: `the answer is not HTTP: a header field goes on in the line " 2"`},
		"other framing":       {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", err: `the answer is not HTTP: transfer-encoding "gzip, chunked" is not known`},
		"another protocol":    {wire: "SSH-2.0-OpenSSH_9.2\r\n", err: `the answer is not HTTP: it begins with "SSH-2.0-OpenSSH_9.2"`},
		"HTTP/2":              {wire: "HTTP/2.0 200 OK\r\n\r\n", err: `the answer is not HTTP: it begins with "HTTP/2.0 200 OK"`},
		"no colon":            {wire: "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", err: `the answer is not HTTP: the header line "nonsense"`},
		"space before colon":  {wire: "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n", err: `the answer is not HTTP: the header line "Content-Length : 1"`},
		"chunk size":          {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", want: answer{status: 200, reason: "OK", reusable: true}, err: `the answer's body is malformed: the chunk size "zz"`},
		"chunk too long":      {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", want: answer{status: 200, reason: "OK", body: "a", reusable: true}, err: "the answer's body is malformed: a chunk is longer than its size"},
		"enormous chunk":      {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", want: answer{status: 200, reason: "OK", reusable: true}, err: `the answer's body is malformed: the chunk size "fffffffffffffffff"`},
		"endless chunk size":  {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 2*maxChunkLine), want: answer{status: 200, reason: "OK", reusable: true}, err: "the answer's body is malformed: a line of its chunks has no end"},
		"endless line":        {wire: "HTTP/1.1 200 OK\r\nX: " + long, err: "the answer is not HTTP: its head is longer than 64 kB"},
		"endless head":        {wire: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", maxHead/4), err: "the answer is not HTTP: its head is longer than 64 kB"},
		"endless interim":     {wire: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInterim+1), err: "the answer is not HTTP: more than 64 interim answers"},
		"endless trailers":    {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", maxHead/4), want: answer{status: 200, reason: "OK", reusable: true}, err: "the answer's body is malformed: its trailers are longer than 64 kB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "GET"
			}
			for _, piece := range []int{1 << 20, 7, 1} {
				got := parseAnswer([]byte(tt.wire), tt.method, piece)
				text := ""
				if got.err != nil {
					text = got.err.Error()
				}
				if text != tt.err {
					t.Fatalf("in pieces of %d: error %q, want %q", piece, text, tt.err)
				}
				if got.err = nil; text == "unexpected EOF" {
					got.reusable = false
				}
				if got != tt.want {
					t.Errorf("in pieces of %d: %+v, want %+v", piece, got, tt.want)
				}
			}
		})
	}
}

func TestFields(t *testing.T) {
	var h Head
	for range 2 { // the second time in memory that is used again
		h.Reset()
		_, done, err := h.Parse([]byte("HTTP/1.1 302 Found\r\nLocation:  /next?a=1 \r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nContent-Encoding: GZIP\r\nRetry-After: 7\r\n\r\n"))
		if !done || err != nil || string(h.Location) != "/next?a=1" || len(h.Cookies) != 2 || string(h.Cookies[0]) != "a=1; Path=/" || string(h.Cookies[1]) != "b=2" || h.Encoding != Gzip || string(h.Retry) != "7" {
			t.Errorf("%+v, %v, %v", h, done, err)
		}
	}
}

// standard is the answer of net/http's parser.
func standard(wire []byte, method string) (a answer) {
	r := bufio.NewReader(bytes.NewReader(wire))
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return answer{err: err}
		}
		if res.StatusCode >= 100 && res.StatusCode < 200 && res.StatusCode != 101 {
			continue
		}
		a = answer{status: res.StatusCode, reusable: !res.Close}
		body, err := io.ReadAll(res.Body)
		a.body, a.err = string(body), err
		rest, _ := io.ReadAll(r)
		a.rest = string(rest)
		return a
	}
}

// FuzzParse holds the parser to net/http's, and to itself when bytes come one by one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n",
		"HTTP/1.0 301 Moved\nLocation: /x\nConnection: keep-alive\n\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\nuntil the end",
	} {
		f.Add([]byte(seed), "GET")
		f.Add([]byte(seed), "HEAD")
	}
	f.Fuzz(func(t *testing.T, wire []byte, method string) {
		got := parseAnswer(wire, method, len(wire)+1)
		slow := parseAnswer(wire, method, 1)
		if (got.err == nil) != (slow.err == nil) || got.body != slow.body || got.status != slow.status || got.rest != slow.rest {
			t.Errorf("at once %+v, byte by byte %+v", got, slow)
		}
		want := standard(wire, method)
		if stricter(got.err) {
			return
		}
		if (got.err == nil) != (want.err == nil) {
			t.Fatalf("error %v, net/http's %v", got.err, want.err)
		}
		if got.err == nil && (got.status != want.status || got.body != want.body || got.reusable && got.rest != want.rest) {
			t.Errorf("%+v, net/http %+v", got, want)
		}
		if got.err == nil && got.reusable && !want.reusable {
			t.Errorf("the connection would be used again, by net/http not: %+v", want)
		}
		var bad *Malformed
		if got.err != nil && !errors.As(got.err, &bad) && !errors.Is(got.err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v is of no known kind", got.err)
		}
	})
}

// stricter says whether an error is one of those that net/http has not, on purpose.
func stricter(err error) bool {
	if err == nil {
		return false
	}
	if _, line, ok := strings.Cut(err.Error(), "the header line "); ok { // net/http takes spaces in names
		name, _, _ := strings.Cut(line, ":")
		return strings.Contains(name, " ")
	}
	for _, text := range []string{
		"it begins with",      // net/http takes HTTP/0.0, HTTP/7.3 and status 000
		"a header field goes", // net/http folds what obsolete senders folded
	} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
