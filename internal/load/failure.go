package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/ragscope/ragscope/internal/load/h1"
)

// Failure is why a request failed. Comparable, so that equal failures are counted together;
// the zero Failure is none.
type Failure struct {
	Kind   Kind
	Status int           // for HTTPStatus
	Text   string        // what the server or the network said
	Wait   time.Duration // that the server asks for, with 429 or 503; 0: it does not
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
	NoConnection      // connecting took too long
	Malformed         // the answer is not HTTP
	BadChunk          // the framing of the answer's body is broken
	BadCoding         // the answer's body does not decompress, or to more than is taken
	Insecure          // no TLS with the server
	Untrusted         // its certificate is not trusted
	Circular          // too many redirects
)

func (f Failure) String() string {
	switch f.Kind {
	case None:
		return ""
	case HTTPStatus:
		text := strings.TrimSpace(fmt.Sprintf("HTTP %d %s", f.Status, f.Text))
		if f.Wait > 0 {
			text += fmt.Sprintf(" (it asks to wait, at most %v)", f.Wait)
		}
		return text
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

// phaseTimeout is a limit of one part of a request.
type phaseTimeout struct {
	kind  Kind
	what  string
	after time.Duration
}

func (p *phaseTimeout) Error() string { return fmt.Sprintf("%s after %v", p.what, p.after) }

// handshakeError is an error of TLS.
type handshakeError struct{ error }

func (h *handshakeError) Unwrap() error { return h.error }

var (
	errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)
	errBomb      = fmt.Errorf("the answer decompresses to more than %d MB", maxDecoded>>20)
)

// codingError is a compressed body that cannot be read.
type codingError struct{ error }

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// networkFailure names an error of the transport. timeout is the limit that the request had.
func networkFailure(err error, timeout fmt.Stringer) Failure {
	var phase *phaseTimeout
	var dns *net.DNSError
	switch {
	case errors.Is(err, errTooLong):
		return tooLong()
	case errors.As(err, &phase):
		return Failure{Kind: phase.kind, Text: phase.Error()}
	case isTimeout(err):
		return Failure{Kind: Timeout, Text: fmt.Sprintf("timed out after %v", timeout)}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
		errors.As(err, &dns) && strings.HasSuffix(dns.Err, syscall.EMFILE.Error()): // which holds errors of sockets as text alone
		return Failure{Kind: Exhausted, Text: "too many open files on the loader's machine"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return Failure{Kind: Exhausted, Text: "no local port left on the loader's machine"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Failure{Kind: Refused, Text: "connection refused"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Failure{Kind: Reset, Text: "connection reset by peer"}
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return Failure{Kind: Untrusted, Text: insecure(err)}
	case errors.As(err, new(*handshakeError)), errors.As(err, new(tls.RecordHeaderError)):
		return Failure{Kind: Insecure, Text: insecure(err)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Failure{Kind: Truncated, Text: "the answer ended too early"}
	case errors.Is(err, io.EOF):
		return Failure{Kind: Closed, Text: "connection closed without an answer"}
	case errors.As(err, &dns):
		return Failure{Kind: NameNotFound, Text: clip("host name not found: " + dns.Name)}
	case errors.Is(err, errRedirects):
		return Failure{Kind: Circular, Text: errRedirects.Error()}
	}
	return otherFailure(err)
}

func otherFailure(err error) Failure {
	var bad *h1.Malformed
	var coding *codingError
	switch {
	case errors.As(err, &bad) && bad.Body:
		return Failure{Kind: BadChunk, Text: clip(bad.Error())}
	case bad != nil:
		return Failure{Kind: Malformed, Text: clip(bad.Error())}
	case errors.As(err, &coding):
		return Failure{Kind: BadCoding, Text: clip(coding.Error())}
	}
	var ue *url.Error
	if errors.As(err, &ue) { // its text holds the URL, which differs from request to request
		err = ue.Err
	}
	return Failure{Kind: Network, Text: clip(err.Error())}
}

// insecure says what is wrong with TLS, and what to do.
func insecure(err error) string {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return clip("the certificate is not trusted: " + untrusted.Err.Error() + "; --insecure does not check it")
	case errors.As(err, new(tls.RecordHeaderError)):
		return "the server does not speak TLS: is it http:// and not https://?"
	}
	return clip("no TLS with the server: " + err.Error())
}
