package recording

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// ErrSchema says that a file is not a recording of the version that this program reads.
var ErrSchema = errors.New("not a " + Schema + " file")

// Read reads one recording from a file. The error names the file and says what to do; it is
// ErrSchema when the file holds other JSON or another version.
func Read(path string) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	defer f.Close()
	rec, err := Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", path, err)
	}
	return rec, nil
}

// Decode reads one recording.
func Decode(r io.Reader) (*Recording, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	// The schema first: a later version may have fields of another shape.
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("%w: the file is cut off or damaged (%w); record it again", ErrSchema, err)
	}
	if head.Schema != Schema {
		return nil, fmt.Errorf("%w: its schema is %q; read it with the version that wrote it, or record again", ErrSchema, head.Schema)
	}
	rec := new(Recording)
	if err := json.Unmarshal(b, rec); err != nil {
		return nil, fmt.Errorf("%w: a field has another shape (%w); record it again", ErrSchema, err)
	}
	return rec, nil
}

// Write writes one recording to a file, whole or not at all.
func Write(path string, rec *Recording) error {
	return WriteFile(path, func(w io.Writer) error { return Encode(w, rec) })
}

// Encode writes one recording as indented JSON. It sorts rec's arrays by name and sets its
// schema.
func Encode(w io.Writer, rec *Recording) error {
	rec.Normalise()
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(rec); err != nil {
		return fmt.Errorf("encode recording: %w", err)
	}
	return nil
}

// WriteFile writes a file as Replace does, and renames it only when the bytes are on the disk.
func WriteFile(path string, fill func(io.Writer) error) error {
	return replace(path, func(f *os.File) error {
		if err := fill(f); err != nil {
			return err
		}
		return f.Sync()
	})
}

// Replace writes a file under a temporary name beside path and renames it when fill has
// succeeded, so that no reader sees half of it. On an error nothing is left behind and an older
// file of that name stays as it was. It does not wait for the disk: for files that are written
// again and again while something is measured.
func Replace(path string, fill func(io.Writer) error) error {
	return replace(path, func(f *os.File) error { return fill(f) })
}

func replace(path string, fill func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = os.Remove(f.Name()) // the first error tells
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err = fill(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Normalise sets the schema, makes absent arrays empty and sorts every array by name, so
// that equal facts make equal files. Timelines are sorted by time, bottlenecks by rank.
func (r *Recording) Normalise() {
	r.Schema = Schema
	sorted(&r.Target.PIDs, cmp.Compare[int])
	sorted(&r.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	for i := range r.Endpoints {
		r.Endpoints[i].normalise()
	}
	sorted(&r.Pools, func(a, b Pool) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Address, b.Address)) })
	for i := range r.Pools {
		r.Pools[i].normalise()
	}
	if r.EventLoop != nil {
		sorted(&r.EventLoop.Blocks, func(a, b LoopBlock) int {
			return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Function, b.Function))
		})
	}
	sorted(&r.Memory.Timeline, func(a, b MemoryTick) int { return cmp.Compare(a.T, b.T) })
	sorted(&r.Memory.Hotspots, func(a, b Hotspot) int { return cmp.Compare(b.Bytes, a.Bytes) })
	sorted(&r.Backends, func(a, b Backend) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Address, b.Address)) })
	sorted(&r.Bottlenecks, func(a, b Bottleneck) int { return cmp.Compare(a.Rank, b.Rank) })
	sorted(&r.Losses, func(a, b Loss) int { return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Reason, b.Reason)) })
	sorted(&r.Probes, func(a, b Probe) int { return cmp.Compare(a.Probe, b.Probe) })
	sorted(&r.NotMeasured, func(a, b NotMeasured) int { return cmp.Compare(a.What, b.What) })
	sorted(&r.Timeline, func(a, b Tick) int { return cmp.Compare(a.T, b.T) })
}

func (e *Endpoint) normalise() {
	if e.Status == nil {
		e.Status = map[string]int64{}
	}
	sorted(&e.Stages, func(a, b Stage) int { return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Peer, b.Peer)) })
	sorted(&e.Calls, func(a, b Call) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Operation, b.Operation)) })
	if e.Client != nil {
		slices.SortStableFunc(e.Client.Errors, func(a, b Failure) int { return cmp.Compare(a.Error, b.Error) })
		slices.SortStableFunc(e.Client.Tasks, func(a, b Task) int { return cmp.Compare(a.Name, b.Name) })
	}
}

func (p *Pool) normalise() {
	sorted(&p.Waits, func(a, b PoolWait) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	sorted(&p.Holders, func(a, b Holder) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	sorted(&p.Timeline, func(a, b PoolTick) int { return cmp.Compare(a.T, b.T) })
}

// sorted sorts a list in place and makes a nil one empty.
func sorted[T any](list *[]T, order func(a, b T) int) {
	if *list == nil {
		*list = []T{}
	}
	slices.SortStableFunc(*list, order)
}
