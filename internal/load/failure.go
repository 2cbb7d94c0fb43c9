package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Failure is why a request failed. Comparable, so that equal failures are counted together;
// the zero Failure is none.
type Failure struct {
	Kind   Kind
	Status int    // for HTTPStatus
	Text   string // what the server or the network said
}

// Kind is the sort of a failure.
type Kind uint8

// The kinds.
const (
	None         Kind = iota
	HTTPStatus        // a status from 400 up
	CheckFailed       // the answer is not what the task's check demands
	StreamError       // an error event inside a stream that began with status 200
	Timeout           // no complete answer in time
	Refused           // nobody listens
	Reset             // the connection was reset
	Closed            // the server closed the connection without an answer
	Truncated         // the answer ended too early
	NameNotFound      // the host name does not resolve
	Network           // any other trouble of the network or of TLS
	Exhausted         // this machine has no file descriptor or port left: the generator's own fault
)

func (f Failure) String() string {
	switch f.Kind {
	case None:
		return ""
	case HTTPStatus:
		return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", f.Status, f.Text))
	case StreamError:
		return "error in the stream: " + f.Text
	}
	return f.Text
}

// Failed says whether there is a failure.
func (f Failure) Failed() bool { return f.Kind != None }

// Limited says whether the server refused because of its rate limit (429). Such answers are
// counted apart from failures.
func (f Failure) Limited() bool {
	return f.Kind == HTTPStatus && f.Status == http.StatusTooManyRequests
}

// maxFailureText bounds the text of a failure, in bytes.
const maxFailureText = 300

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxFailureText {
		s = strings.ToValidUTF8(s[:maxFailureText], "") + "…"
	}
	return s
}

// networkFailure names an error of the transport. timeout is the limit that the request had.
func networkFailure(err error, timeout fmt.Stringer) Failure {
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return Failure{Kind: Timeout, Text: fmt.Sprintf("timed out after %v", timeout)}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return Failure{Kind: Exhausted, Text: "too many open files on the loader's machine"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return Failure{Kind: Exhausted, Text: "no local port left on the loader's machine"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Failure{Kind: Refused, Text: "connection refused"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Failure{Kind: Reset, Text: "connection reset by peer"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Failure{Kind: Truncated, Text: "the answer ended too early"}
	case errors.Is(err, io.EOF):
		return Failure{Kind: Closed, Text: "connection closed without an answer"}
	case errors.As(err, &dns):
		return Failure{Kind: NameNotFound, Text: clip("host name not found: " + dns.Name)}
	}
	var ue *url.Error
	if errors.As(err, &ue) { // its text holds the URL, which differs from request to request
		err = ue.Err
	}
	return Failure{Kind: Network, Text: clip(err.Error())}
}
