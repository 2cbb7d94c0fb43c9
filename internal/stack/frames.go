package stack

import (
	"io"
	"strings"
	"unique"

	"go.opentelemetry.io/ebpf-profiler/libpf"
	"go.opentelemetry.io/ebpf-profiler/reporter"
)

// objectReporter tells symbols of every object the unwinder meets.
type objectReporter struct{ symbols *symbols }

// ReportExecutable is called by the unwinder when it first sees an object.
func (r objectReporter) ReportExecutable(md *reporter.ExecutableMetadata) {
	file := md.MappingFile.Value()
	mapping, process := *md.Mapping, md.Process
	mapping.Path = strings.Clone(mapping.Path) // the unwinder reuses the buffer behind it
	o := object{name: file.FileName.String(), path: mapping.Path, buildID: file.GnuBuildID}
	o.open = func() (io.ReaderAt, io.Closer, error) {
		f, err := process.OpenMappingFile(&mapping)
		return f, f, err
	}
	r.symbols.add(objectIDOf(file.FileID), o)
}

func objectIDOf(id libpf.FileID) objectID { return objectID(id.Bytes()) }

// identify is the unwinder's name for an object, from its contents.
func identify(r io.ReadSeeker) objectID {
	id, err := libpf.FileIDFromExecutableReader(r)
	if err != nil {
		return objectID{}
	}
	return objectIDOf(id)
}

// maxFrames bounds the frames that are remembered in translation; a FastAPI service has a few
// thousand. When it is full it starts anew.
const maxFrames = 65536

// translator turns the unwinder's frames into ours. Not for concurrent use.
type translator struct {
	symbols *symbols
	lines   bool // keep the line that ran
	known   map[unique.Handle[libpf.Frame]]Frame
}

func newTranslator(symbols *symbols, lines bool) *translator {
	return &translator{symbols: symbols, lines: lines, known: map[unique.Handle[libpf.Frame]]Frame{}}
}

// frames translates a trace; truncated says that unwinding gave up before the end.
func (t *translator) frames(pid uint32, trace *libpf.Trace) (frames []Frame, truncated bool) {
	frames = make([]Frame, 0, len(trace.Frames))
	for _, handle := range trace.Frames {
		if frame, ok := t.known[handle]; ok {
			frames = append(frames, frame)
			continue
		}
		f := handle.Value()
		if f.Type.IsError() {
			truncated = true
			continue
		}
		frame, final := t.frame(pid, &f)
		if len(t.known) >= maxFrames {
			clear(t.known)
		}
		if final {
			t.known[handle] = frame
		}
		frames = append(frames, frame)
	}
	return frames, truncated
}

// frame translates one; final says that it will be the same again.
func (t *translator) frame(pid uint32, f *libpf.Frame) (frame Frame, final bool) {
	frame = Frame{
		Function: f.FunctionName.String(),
		File:     f.SourceFile.String(),
		Start:    startOf(f),
		Kind:     kindOf(f.Type),
	}
	if t.lines {
		frame.Line = int(f.SourceLine)
	}
	switch frame.Kind {
	case Kernel:
		frame.Function = readable(frame.Function)
	case jvm:
		frame.Function = javaName(frame.Function)
	}
	if !f.Mapping.Valid() {
		if frame.Function == "" {
			frame.Function = unknown + frame.Kind + "]"
		}
		return frame, true
	}
	file := f.Mapping.Value().File.Value()
	if frame.File == "" {
		frame.File = file.FileName.String()
	}
	final = true
	if frame.Function == "" {
		frame.Function, final = t.symbols.name(pid, objectIDOf(file.FileID), frame.File, uint64(f.AddressOrLineno))
	}
	return frame, final
}

// startOf is the line where a function begins, of the runtimes for which the unwinder counts
// lines from there.
func startOf(f *libpf.Frame) int {
	switch f.Type.Interpreter() {
	case libpf.Python, libpf.V8, libpf.HotSpot, libpf.PHP:
		return max(0, int(f.SourceLine)-int(f.FunctionOffset))
	}
	return 0
}

func kindOf(t libpf.FrameType) string {
	switch interpreter := t.Interpreter(); interpreter {
	case libpf.Python:
		return Python
	case libpf.Native:
		return Native
	case libpf.Kernel:
		return Kernel
	default:
		return interpreter.String()
	}
}
