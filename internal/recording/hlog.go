package recording

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// nanosPerMicro: an interval log holds nanoseconds, which is what HdrHistogram's own tools
// take a log's values for (they show milliseconds and divide by a million).
const nanosPerMicro = 1000

// IntervalLog writes distributions interval by interval in HdrHistogram's log format 1.3, which
// its tools read (HistogramLogProcessor, HistogramLogAnalyzer, Python's hdrh.log).
type IntervalLog struct {
	w     io.Writer
	start time.Time
	h     *hdrhistogram.Histogram // scratch
	err   error
}

// NewIntervalLog begins a log; interval times count from start.
func NewIntervalLog(w io.Writer, comment string, start time.Time) *IntervalLog {
	l := &IntervalLog{w: w, start: start, h: hdrhistogram.New(lowest*nanosPerMicro, highest*nanosPerMicro, digits)}
	seconds := float64(start.UnixMilli()) / 1e3
	l.printf("#[%s]\n#[Histogram log format version 1.3]\n", strings.Join(strings.Fields(comment), " "))
	l.printf("#[StartTime: %.3f (seconds since epoch), %s]\n", seconds, start.UTC().Format(time.RFC3339))
	l.printf("#[BaseTime: %.3f (seconds since epoch)]\n", seconds)
	l.printf("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n")
	return l
}

func (l *IntervalLog) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}

// tagForm is a tag as the format allows it: without commas, spaces and line ends, of which
// none is lost on the way to "_".
var tagForm = strings.NewReplacer(",", "_", " ", "_", "\t", "_", "\r", "_", "\n", "_")

// Add writes one tag's line of the interval between two offsets from the start. An empty
// distribution is written too, so that a reader sees that nothing ended meanwhile.
func (l *IntervalLog) Add(tag string, from, to time.Duration, d *Dist) error {
	l.h.Reset()
	text, err := d.encode(l.h, nanosPerMicro)
	if err != nil {
		return errors.Join(l.err, err)
	}
	l.printf("Tag=%s,%.3f,%.3f,%.3f,%s\n", tagForm.Replace(tag), from.Seconds(), (to - from).Seconds(), d.Max*1e3, text)
	return l.err
}
