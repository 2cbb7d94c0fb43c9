package locust

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/load"
)

// errorText is a failure in Locust's words: the repr of the exception that HttpUser would have had, as far as it is
// the same for all requests. Where Python's text holds addresses and pools, its first words stand before the loader's, so
// that who searches for them finds these.
func errorText(f load.Failure, name string) string {
	switch f.Kind {
	case load.HTTPStatus:
		who := "Client"
		if f.Status >= 500 {
			who = "Server"
		}
		return exception("HTTPError", fmt.Sprintf("%d %s Error: %s for url: %s", f.Status, who, f.Text, name))
	case load.Timeout:
		return exception("ReadTimeout", "Read timed out. ("+f.Text+")")
	case load.Refused:
		return "ConnectionRefusedError(111, 'Connection refused')"
	case load.Reset:
		return "ConnectionResetError(104, 'Connection reset by peer')"
	case load.Closed:
		return "RemoteDisconnected('Remote end closed connection without response')"
	case load.Truncated:
		return exception("ChunkedEncodingError", "Connection broken: IncompleteRead ("+f.Text+")")
	case load.NoConnection:
		return exception("ConnectTimeoutError", "Connection timed out. ("+f.Text+")")
	case load.Malformed:
		return exception("BadStatusLine", f.Text)
	case load.BadChunk:
		return exception("ChunkedEncodingError", "Connection broken: "+f.Text)
	case load.BadCoding:
		return exception("ContentDecodingError", f.Text)
	case load.Insecure:
		return exception("SSLError", f.Text)
	case load.Untrusted:
		return exception("SSLError", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "+f.Text)
	case load.Circular:
		return "TooManyRedirects('Exceeded 30 redirects.')"
	case load.NameNotFound:
		return "gaierror(-2, 'Name or service not known')"
	case load.Network, load.Exhausted:
		return exception("ConnectionError", f.Text)
	}
	return exception("CatchResponseError", f.String())
}

// shortText is the failure in the console's report: a failed check without its exception.
func shortText(f load.Failure, name string) string {
	if f.Kind == load.CheckFailed || f.Kind == load.StreamError {
		return f.String()
	}
	return errorText(f, name)
}

func exception(class, text string) string { return class + "(" + pyRepr(text) + ")" }
