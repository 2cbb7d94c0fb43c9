package locust

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/recording"
)

// Files writes the four CSV files of a run while it goes on. It is a load.Sink and stands
// after its Stats. Every file but the history is written whole to a temporary name and then
// renamed; the history grows by whole rows, one second late, so that the last row of a run
// can take the place of one of the same second.
type Files struct {
	stats   *Stats
	prefix  string
	full    bool
	history *os.File
	pending []byte // rows not yet written
	second  int64  // of the pending rows
	err     error  // the first one of the history
	stale   error  // why the other files are not as they should be
}

var _ load.Sink = (*Files)(nil)

// NewFiles creates the files of PREFIX, with the folders that are missing. full is
// --csv-full-history.
func NewFiles(s *Stats, prefix string, full bool) (*Files, error) {
	f := &Files{stats: s, prefix: prefix, full: full}
	if err := os.MkdirAll(filepath.Dir(prefix), 0o755); err != nil {
		return nil, fmt.Errorf("--csv: %w", err)
	}
	name := prefix + "_stats_history.csv"
	if err := WriteFile(name, historyHeader); err != nil {
		return nil, err
	}
	f.pending, f.second = s.historyRows(s.start, full), s.start.Unix()
	var err error
	if f.history, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, fmt.Errorf("--csv: %w", err)
	}
	return f, f.flush()
}

// Add implements load.Sink; the samples come through the Stats.
func (f *Files) Add([]load.Sample) {}

// Tick implements load.Sink.
func (f *Files) Tick(load.Progress) {
	now := f.stats.now
	if now.Unix() != f.second {
		f.keep(f.writePending())
	}
	f.pending, f.second = f.stats.historyRows(now, f.full), now.Unix()
	f.stale = f.flush() // the next time may mend it
}

func (f *Files) writePending() error {
	_, err := f.history.Write(f.pending)
	f.pending = nil
	if err != nil {
		return fmt.Errorf("--csv: %w", err)
	}
	return nil
}

func (f *Files) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *Files) flush() error {
	return errors.Join(
		WriteFile(f.prefix+"_stats.csv", f.stats.CSV()),
		WriteFile(f.prefix+"_failures.csv", f.stats.FailuresCSV()),
		WriteFile(f.prefix+"_exceptions.csv", ExceptionsCSV()),
	)
}

// History is the name of the file of the history, and whether it has rows of every task.
func (f *Files) History() (name string, full bool) { return f.prefix + "_stats_history.csv", f.full }

// Close ends the writing and returns why files are not complete. What could not be written while the load took the last
// file descriptor, or the disk was full for a time, is written now.
func (f *Files) Close() error {
	f.keep(errors.Join(f.writePending(), f.history.Close()))
	if f.stale != nil {
		f.stale = f.flush()
	}
	return errors.Join(f.err, f.stale)
}

// WriteFile writes a file whole or not at all, without waiting for the disk: the CSV files are
// written again each second while the load runs.
func WriteFile(name string, text []byte) error {
	return recording.Replace(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
