package target

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/protocol"
)

// ErrNoOpenAPI says that a service describes no routes; LearnRouter serves then.
var ErrNoOpenAPI = errors.New("no OpenAPI description")

// maxOpenAPI bounds the description that is read, in bytes.
const maxOpenAPI = 4 << 20

// UserAgent is how the agent names itself to a target.
const UserAgent = protocol.AgentName

// FetchRouter asks the service at addr for /openapi.json and returns a router of its routes,
// which learns those that are not described. It fails with ErrNoOpenAPI where there is no
// usable description. Bound it by ctx: a target may be slow, which is why it is watched.
func FetchRouter(ctx context.Context, addr netip.AddrPort) (*Router, error) {
	var d net.Dialer
	return fetchRouter(ctx, addr, d.DialContext)
}

// FetchRouter is FetchRouter of the package for a target that may be in another network namespace.
func (t *Target) FetchRouter(ctx context.Context) (*Router, error) {
	if t.netns == 0 || t.netns == netnsOf(os.Getpid()) || len(t.Processes) == 0 {
		return FetchRouter(ctx, t.Address)
	}
	path := procPath(t.Processes[0].PID, "ns/net")
	return fetchRouter(ctx, t.Address, func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialIn(ctx, path, network, address)
	})
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func fetchRouter(ctx context.Context, addr netip.AddrPort, dial dialer) (*Router, error) {
	r, err := askRouter(ctx, "http://"+addr.String()+"/openapi.json", dial)
	if r != nil || errors.Is(err, ErrNoOpenAPI) && !errors.Is(err, errWantsTLS) || ctx.Err() != nil {
		return r, err
	}
	if r, err2 := askRouter(ctx, "https://"+addr.String()+"/openapi.json", dial); r != nil {
		return r, nil
	} else if errors.Is(err2, ErrNoOpenAPI) {
		return nil, err2
	}
	return nil, err // a service without TLS: what it said to plain HTTP tells more
}

// errWantsTLS marks the answer of servers that speak TLS and were asked without it.
var errWantsTLS = fmt.Errorf("%w: status 400", ErrNoOpenAPI)

func askRouter(ctx context.Context, url string, dial dialer) (*Router, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", url, err)
	}
	request.Header.Set("User-Agent", UserAgent)
	client := http.Client{
		Transport: &http.Transport{
			DialContext: dial, DisableKeepAlives: true, Proxy: nil, ResponseHeaderTimeout: time.Minute,
			// It is asked by address, for names that say nothing secret, and what it answers is checked as any input.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for the routes: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if response.StatusCode == http.StatusBadRequest {
		return nil, fmt.Errorf("%s: %w", url, errWantsTLS)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %w: status %d", url, ErrNoOpenAPI, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOpenAPI+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	if len(body) > maxOpenAPI {
		return nil, fmt.Errorf("%s: %w: longer than %d bytes", url, ErrNoOpenAPI, maxOpenAPI)
	}
	return parseRouter(body)
}

// dialIn connects from within the network namespace at path. The namespace is a thread's, so the
// thread is given up if it cannot be brought back.
func dialIn(ctx context.Context, path, network, address string) (net.Conn, error) {
	there, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the target's network namespace: %w", err)
	}
	defer there.Close() //nolint:errcheck // read only
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err == nil {
			defer here.Close() //nolint:errcheck // read only
			err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			runtime.UnlockOSThread()
			done <- result{nil, fmt.Errorf("enter the target's network namespace: %w", err)}
			return
		}
		// A literal address and one family: the dialer makes its socket on this thread.
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// parseRouter reads the paths of an OpenAPI description, in the order of their names so that the
// same routes are kept each time when there are more than MaxRoutes.
func parseRouter(body []byte) (*Router, error) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoOpenAPI, err)
	}
	if doc.Paths == nil {
		return nil, fmt.Errorf("%w: it has no paths", ErrNoOpenAPI)
	}
	r := LearnRouter()
	templates := make([]string, 0, len(doc.Paths))
	for template := range doc.Paths {
		templates = append(templates, template)
	}
	slices.Sort(templates)
	for _, template := range templates {
		var methods []string
		for key := range doc.Paths[template] {
			if m := strings.ToUpper(key); methodLabel(m) == m {
				methods = append(methods, m)
			}
		}
		r.add(template, methods)
	}
	return r, nil
}
