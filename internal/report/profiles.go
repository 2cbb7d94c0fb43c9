package report

import (
	"fmt"
	"io"
	"strings"
)

// Profile is one kind of flame graph, with the file that `go tool pprof` opens.
type Profile struct {
	Kind  string // cpu, off_cpu or memory: the name of its files
	Pprof []byte // gzipped; nil: none
	SVG   []byte // nil: none
	Why   string // why there is none
}

// ProfileKinds are all of them, in the order of the report.
var ProfileKinds = []string{"cpu", "off_cpu", "memory"}

// profileTitles say what the width of a frame is.
var profileTitles = map[string]string{"cpu": "CPU", "off_cpu": "sleep", "memory": "new memory"}

// profile returns the one of a kind, which may be empty.
func (in *Input) profile(kind string) Profile {
	for _, p := range in.Profiles {
		if p.Kind == kind {
			return p
		}
	}
	return Profile{Kind: kind, Why: "no profile is beside the recordings"}
}

// files are those of the profiles that there are.
func (in *Input) profileFiles(inResults func(string) string) (out []reportFile) {
	bytes := func(b []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(b); return err }
	}
	for _, p := range in.Profiles {
		if p.Pprof != nil {
			out = append(out, reportFile{inResults(p.Kind + ".pb.gz"), bytes(p.Pprof)})
		}
		if p.SVG != nil {
			out = append(out, reportFile{inResults(p.Kind + ".svg"), bytes(p.SVG)})
		}
	}
	return out
}

// flames shows the CPU's graph and names the files of the others, each of which would be as large.
func (b *builder) flames(s *Section) {
	if cpu := b.in.profile("cpu"); cpu.SVG != nil {
		s.Blocks = append(s.Blocks, Block{Flame: cpu.SVG, FlameURL: "cpu.svg"})
	} else {
		s.text("Flame graph: not measured (" + cpu.Why + ").")
	}
	var there []string
	for _, kind := range ProfileKinds[1:] {
		if b.in.profile(kind).SVG != nil {
			there = append(there, fmt.Sprintf("%s.svg, of %s", kind, profileTitles[kind]))
		}
	}
	if len(there) > 0 {
		s.text("More flame graphs are beside this report: " + strings.Join(there, "; ") + ".")
	}
}
