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
	// Profiles says of each kind of profile whether there is one.
	Profiles() []ProfileState
	// Profile writes out samples since the agent attached. It returns ErrNotMeasured, wrapped
	// with the reason, where there is none of this kind.
	Profile(ctx context.Context, p Profile) ([]byte, error)
}

// Pusher is a Source that sends profiles to a server.
type Pusher interface {
	// Pushes is what became of them, nil where none are sent.
	Pushes() *Pushes
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
	Stacks   int    // at most so many, the largest, and the others as one of each endpoint; 0 for all
}

// ProfileState is what there is of a kind of profile.
type ProfileState struct {
	Kind string
	Why  string // there is none; "" where there is one
	Note string // what it can and cannot see, "" where that needs no words
}

// Pushes counts the profiles that were sent to a server since the start.
type Pushes struct {
	Sent    uint64
	Dropped map[string]uint64 // by reason
	Queued  int
	Trouble string // the error of the last attempt, "" when that was accepted
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
