package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/pprof/driver"
	"github.com/google/pprof/profile"
)

// pprofViews are the pages of pprof's own web UI that are served. Its source and disassembly
// pages would read whatever file a watched process names with the agent's rights, and its
// configurations would be written to the home of the agent's user.
var pprofViews = map[string]bool{"": true, "flamegraph": true, "top": true, "peek": true, "graph": true, "download": true}

// pprofStacks bounds what a page of pprof's costs: of 16,000 stacks of 40 frames its flame graph
// is 21 MB of JSON and takes 145 MB to make, with the bound 4 MB and 42.
const pprofStacks = 2000

// pprofUI serves pprof's own web UI. Each request gets a profile, and a UI of it, of its own: what
// is shown is what there is now, and nothing stays in memory.
type pprofUI struct {
	src Source
	// turn is held by the request that is served: pprof keeps its configuration in global
	// variables, and a profile takes some megabytes.
	turn chan struct{}
}

func newPprofUI(src Source) *pprofUI { return &pprofUI{src: src, turn: make(chan struct{}, 1)} }

func (u *pprofUI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, view := r.PathValue("kind"), r.PathValue("view")
	if !pprofViews[view] {
		fail(w, http.StatusNotFound, fmt.Sprintf("pprof's page %q is not served here: it would read or write files with the agent's rights; download the profile and use go tool pprof", view))
		return
	}
	answer, err := u.page(r, kind, view)
	switch {
	case errors.Is(err, ErrNotMeasured):
		fail(w, http.StatusNotFound, err.Error())
		return
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	for key, values := range answer.header {
		w.Header()[key] = values
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes()) // outside of the turn: the reader may be slow
}

// page lets pprof write one page.
func (u *pprofUI) page(r *http.Request, kind, view string) (*answer, error) {
	select {
	case u.turn <- struct{}{}:
		defer func() {
			debug.FreeOSMemory() // it took tens of megabytes, for one look
			<-u.turn
		}()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	p, err := u.fetch(r.Context(), kind)
	if err != nil {
		return nil, err
	}
	if err := needsHome(); err != nil {
		return nil, err
	}
	out := &answer{header: http.Header{}, status: http.StatusOK}
	err = driver.PProf(&driver.Options{
		Flagset: pprofFlags{},
		Fetch:   fetched{p},
		Sym:     noSymbols{},
		Obj:     noObjects{},
		UI:      silent{},
		HTTPServer: func(args *driver.HTTPServerArgs) error {
			if h := args.Handlers["/"+view]; h != nil {
				h.ServeHTTP(out, r)
				return nil
			}
			return fmt.Errorf("pprof has no page %q", view)
		},
		HTTPTransport: http.DefaultTransport, // never used: the profile is fetched above
	})
	return out, err
}

func (u *pprofUI) fetch(ctx context.Context, kind string) (*profile.Profile, error) {
	body, err := u.src.Profile(ctx, Profile{Kind: kind, Format: Pprof, Stacks: pprofStacks})
	if err != nil {
		return nil, err
	}
	p, err := profile.ParseData(body)
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	if len(p.Sample) == 0 {
		return nil, fmt.Errorf("%w: no sample was taken yet", ErrNotMeasured)
	}
	return p, nil
}

// needsHome gives pprof a place for its settings, which it insists on and which a service
// started without HOME does not have. Nothing is written there, see pprofViews.
func needsHome() error {
	if _, err := os.UserConfigDir(); err == nil {
		return nil
	}
	return os.Setenv("XDG_CONFIG_HOME", os.DevNull)
}

// answer is what a handler writes, kept until its turn is over.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// pprofFlags are the command line: a web UI with the endpoints as the first level.
type pprofFlags struct{}

func (pprofFlags) Bool(_ string, def bool, _ string) *bool              { return &def }
func (pprofFlags) Int(_ string, def int, _ string) *int                 { return &def }
func (pprofFlags) Float64(_ string, def float64, _ string) *float64     { return &def }
func (pprofFlags) StringList(_ string, def string, _ string) *[]*string { return &[]*string{&def} }
func (pprofFlags) ExtraUsage() string                                   { return "" }
func (pprofFlags) AddExtraUsage(string)                                 {}
func (pprofFlags) Parse(func()) []string                                { return []string{"profile"} }
func (pprofFlags) String(name, def, _ string) *string {
	switch name {
	case "http":
		def = "localhost:1" // nobody listens: HTTPServer takes the handlers
	case "symbolize":
		def = "none"
	case "tagroot":
		def = "endpoint"
	}
	return &def
}

// fetched is a profile that is there already.
type fetched struct{ *profile.Profile }

// Fetch names no source, so that pprof does not save what it gets.
func (f fetched) Fetch(string, time.Duration, time.Duration) (*profile.Profile, string, error) {
	return f.Profile, "", nil
}

// noSymbols leaves the names that are there.
type noSymbols struct{}

func (noSymbols) Symbolize(string, driver.MappingSources, *profile.Profile) error { return nil }

// noObjects opens no file.
type noObjects struct{}

var errNoObjects = errors.New("objects are not read here")

func (noObjects) Open(string, uint64, uint64, uint64, string) (driver.ObjFile, error) {
	return nil, errNoObjects
}

func (noObjects) Disasm(string, uint64, uint64, bool) ([]driver.Inst, error) {
	return nil, errNoObjects
}

// silent is nobody at a terminal.
type silent struct{}

func (silent) ReadLine(string) (string, error) { return "", errors.New("nobody is here") }
func (silent) Print(...any)                    {}
func (silent) PrintErr(args ...any) {
	slog.Debug("pprof", "says", strings.TrimSpace(fmt.Sprint(args...)))
}
func (silent) IsTerminal() bool                    { return false }
func (silent) WantBrowser() bool                   { return false }
func (silent) SetAutoComplete(func(string) string) {}
