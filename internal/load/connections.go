package load

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Connections says how the system under test is connected to. The zero value is the default.
type Connections struct {
	ConnectTimeout   time.Duration // of TCP and of TLS, each; 0: DefaultConnectTimeout
	FirstByteTimeout time.Duration // from a request to the first byte of its answer; 0: the request's own
	Insecure         bool          // certificates are not checked
	HTTP2            bool
	NoKeepAlive      bool // a connection for each request
}

// or fills what is not said with what a scenario says.
func (c Connections) or(s scenario.Client) Connections {
	return Connections{
		ConnectTimeout: cmp.Or(c.ConnectTimeout, s.ConnectTimeout), FirstByteTimeout: cmp.Or(c.FirstByteTimeout, s.FirstByteTimeout),
		Insecure: c.Insecure || s.Insecure, HTTP2: c.HTTP2 || s.HTTP2, NoKeepAlive: c.NoKeepAlive || s.NoKeepAlive,
	}
}

// DefaultConnectTimeout is how long connecting may take.
const DefaultConnectTimeout = 30 * time.Second

func (c Connections) connectTimeout() time.Duration {
	if c.ConnectTimeout > 0 {
		return c.ConnectTimeout
	}
	return DefaultConnectTimeout
}

// NewSender returns the sender for a base URL.
func NewSender(base string, c Connections) (Sender, error) {
	if c.HTTP2 && !strings.HasPrefix(base, unixScheme) {
		return NewHTTP(base, c), nil
	}
	return NewLean(base, c)
}

// userAgent is the loader's name in requests.
const userAgent = "ragscope-loader"

// unixScheme begins the base URL of a server on a Unix socket: unix:/run/app.sock.
const unixScheme = "unix:"

// BaseURL checks the address of the system under test and returns it without a trailing slash.
func BaseURL(host string) (string, error) {
	if path, ok := strings.CutPrefix(host, unixScheme); ok {
		path = "/" + strings.TrimLeft(path, "/")
		if len(path) < 2 || len(path) > 107 { // sun_path, unix(7)
			return "", fmt.Errorf("host %q is not the path of a Unix socket; write for example unix:/run/app.sock", host)
		}
		return unixScheme + path, nil
	}
	u, err := url.Parse(host)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
		return "", fmt.Errorf("host %q is not a base URL; write for example http://localhost:8000", host)
	}
	return strings.TrimRight(host, "/"), nil
}

// origin is a server: what a connection leads to. Comparable.
type origin struct {
	network, address string // tcp and host:port, or unix and a path
	host             string // for the Host header
	secure           bool
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// originOf is the origin of a URL with a host.
func originOf(u *url.URL) (origin, error) {
	name, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil || net.ParseIP(u.Hostname()) != nil || strings.ContainsRune(u.Hostname(), '_') {
		name = u.Hostname()
	}
	port := u.Port()
	o := origin{network: "tcp", host: name, secure: u.Scheme == "https"}
	if strings.Contains(name, ":") {
		o.host = "[" + name + "]"
	}
	if port != "" && port != defaultPorts[u.Scheme] {
		o.host += ":" + port
	}
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	if port == "" || name == "" {
		return origin{}, fmt.Errorf("%q is not an http:// or https:// URL", u.Redacted())
	}
	o.address = net.JoinHostPort(name, port)
	return o, nil
}

// parseBase parts a base URL into its origin and the path before every target.
func parseBase(base string) (origin, *url.URL, error) {
	if path, ok := strings.CutPrefix(base, unixScheme); ok {
		return origin{network: "unix", address: path, host: "localhost"}, &url.URL{Scheme: "http", Host: "localhost"}, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return origin{}, nil, err
	}
	o, err := originOf(u)
	return o, u, err
}

// Reach opens a connection to the server of a base URL, without TLS: to see that it is there.
func Reach(ctx context.Context, base string) (net.Conn, error) {
	o, _, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, o.network, o.address)
}

func (c Connections) tlsConfig(o origin) *tls.Config {
	name, _, _ := net.SplitHostPort(o.address)
	return &tls.Config{ServerName: name, InsecureSkipVerify: c.Insecure, NextProtos: []string{"http/1.1"}}
}
