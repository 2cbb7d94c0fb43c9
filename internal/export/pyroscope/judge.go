package pyroscope

import (
	"context"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// verdict is what an answer means for the request.
type verdict int

const (
	accepted verdict = iota
	away             // absent, overloaded or too slow: the same again, until it is too old
	broken           // the server failed: the same again, some times
	inParts          // one of several is not accepted, or it is too large: in parts
	useless          // never
)

// judge tells them apart by the code of the API, or by the HTTP status where the answer is not
// the API's but a proxy's, or another server's; status is 0 where there was no answer.
func judge(err error, status int) verdict {
	if err == nil {
		return accepted
	}
	if status != 0 && !connect.IsWireError(err) {
		return judgeStatus(status)
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted, connect.CodeCanceled:
		return away
	case connect.CodeResourceExhausted: // a limit of rate, unless it is one of size
		if tooLarge(err) {
			return inParts
		}
		return away
	case connect.CodeInternal, connect.CodeUnknown, connect.CodeDataLoss:
		return broken
	case connect.CodeInvalidArgument, connect.CodeOutOfRange, connect.CodeFailedPrecondition:
		return inParts
	default: // no rights, no such service
		return useless
	}
}

func judgeStatus(status int) verdict {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return inParts
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return away
	}
	if status >= 400 && status < 500 {
		return useless
	}
	return broken // its own fault, or an answer that cannot be read
}

// tooLarge recognises a refusal of the size: a proxy's, connect's ("message size … is larger
// than configured max …"), or Pyroscope's ("exceeds the samples count limit", "exceeds the size
// limit"). Other refusals would be repeated for each part.
func tooLarge(err error) bool {
	text := strings.ToLower(err.Error())
	for _, words := range []string{"exceeds the samples count limit", "exceeds the size limit", "larger than", "too large"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// statusKey is the place in a context where the transport leaves the HTTP status, which
// connect's errors do not tell.
type statusKey struct{}

func withStatus(ctx context.Context) (context.Context, *int) {
	status := new(int)
	return context.WithValue(ctx, statusKey{}, status), status
}

// transport notes the status of answers.
type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if status, ok := r.Context().Value(statusKey{}).(*int); ok && err == nil {
		*status = answer.StatusCode
	}
	return answer, err
}

// httpClient is given, or one of its own, that notes the status of answers and follows no
// redirects: they would turn a push into a GET and drop who we are.
func httpClient(given *http.Client) *http.Client {
	out := http.Client{Transport: http.DefaultTransport}
	if given != nil {
		out = *given
	}
	if out.Transport == nil {
		out.Transport = http.DefaultTransport
	}
	out.Transport = transport{out.Transport}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &out
}
