package pyroscope

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	selfprofile "github.com/grafana/pyroscope-go"
)

const (
	// selfTimeout is what a server may take for one profile of ours, and lastSelf for the last
	// ones: a program that ends must not wait for a server that hangs.
	selfTimeout = 10 * time.Second
	lastSelf    = 3 * time.Second
)

// StartSelf sends profiles of this program itself (CPU, allocations, heap) to a server under
// the service name. It uses Grafana's own library, which holds twenty profiles, drops silently
// and never retries: enough for a look at ourselves, not for measurements. stop sends what there
// is, and gives up after some seconds.
func StartSelf(url string, a Access, name string, log *slog.Logger) (stop func(), err error) {
	base, a, err := address(url, a)
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for key := range a.header() {
		headers[key] = a.header().Get(key)
	}
	p, err := selfprofile.Start(selfprofile.Config{
		ApplicationName: name,
		ServerAddress:   base,
		HTTPHeaders:     headers,
		HTTPClient: &http.Client{
			Timeout:       selfTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:        selfLog{log},
		DisableGCRuns: true, // a forced collection every 15 s would be overhead of ours
		ProfileTypes: []selfprofile.ProfileType{
			selfprofile.ProfileCPU, selfprofile.ProfileAllocSpace, selfprofile.ProfileInuseSpace,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("profile this program: %w", err)
	}
	return func() {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.Flush(true)
			_ = p.Stop()
		}()
		select {
		case <-ended:
		case <-time.After(lastSelf):
			log.Debug("the last profiles of this program itself were not sent in time")
		}
	}, nil
}

// selfLog passes on what the library says where somebody looks for it: it repeats itself with
// every profile that fails.
type selfLog struct{ to *slog.Logger }

func (l selfLog) Infof(format string, args ...any)  { l.to.Debug(fmt.Sprintf(format, args...)) }
func (l selfLog) Debugf(string, ...any)             {}
func (l selfLog) Errorf(format string, args ...any) { l.to.Debug(fmt.Sprintf(format, args...)) }
