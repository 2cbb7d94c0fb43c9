package web

import (
	"context"
	"errors"

	"github.com/ragscope/ragscope/internal/recording"
)

// Source is where the facts come from. All methods may be called at once, and what they
// return is the caller's own.
type Source interface {
	// Ready is nil once a target is attached, else it says why not.
	Ready() error
	// Recording covers all the time since the agent attached; nil before.
	Recording() *recording.Recording
	// Live covers the last minute or so; nil before the agent attached.
	Live() *recording.Recording
	// OpenWindow starts a window at this moment.
	OpenWindow(name string) (Window, error)
	// Profile writes out samples since the agent attached. It returns ErrNotMeasured, wrapped
	// with the reason, where there is none of this kind.
	Profile(ctx context.Context, p Profile) ([]byte, error)
}

// Window collects facts from its opening on.
type Window interface {
	// Close ends the window and returns its facts.
	Close() (*recording.Recording, error)
	// Discard ends it and drops them.
	Discard()
}

// Profile asks for samples.
type Profile struct {
	Kind     string // cpu, off_cpu, memory
	Format   Format
	Endpoint string // "POST /api/v1/chat"; "" for all
}

// Format is how a profile is written.
type Format string

// The formats.
const (
	Pprof Format = "pprof" // gzipped protobuf
	SVG   Format = "svg"   // flame graph
)

// ErrNotMeasured is what a Source returns for a profile that it does not have.
var ErrNotMeasured = errors.New("not measured")
