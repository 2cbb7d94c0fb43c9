// Package report turns recordings and their diagnosis into the seven-section performance
// report and the JSON and SVG files beside it.
//
// In: one recording per scenario, the recording of the whole run, and the profiles that there
// are. Out: report.md, report.html (one file, no external assets), recording.json,
// memory_profile.svg, memory_report.json, latency_report.json, and a .pb.gz and an .svg of each
// profile. Both reports are renderings of one document, so their figures are the same.
//
// It never measures and never estimates: every figure stands in a recording, or is
// arithmetic on figures that do; what is absent reads "not measured" with the reason.
package report

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/diagnose"
	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/recording"
)

// Input is what a report is made from.
type Input struct {
	Scenarios []*recording.Recording // one per scenario, each with its loader's figures
	Whole     *recording.Recording   // the whole run; see Complete
	Profiles  []Profile              // of ProfileKinds
	Caveats   []string               // what happened while gathering the input and bears on the result
}

// Complete sorts the scenarios by time and makes the whole run of them: the agent's recording
// with the loader's figures put beside it, or, without an agent, the scenarios joined. It
// then ranks the bottlenecks.
func (in *Input) Complete() error {
	if len(in.Scenarios) == 0 {
		return errors.New("there is no recording to report on")
	}
	slices.SortStableFunc(in.Scenarios, func(a, b *recording.Recording) int { return a.Window.Start.Compare(b.Window.Start) })
	if in.Whole != nil {
		recording.JoinClients(in.Whole, in.Scenarios...)
	} else {
		whole, err := recording.Merge(in.Scenarios...)
		if err != nil {
			return err
		}
		in.Whole = whole
	}
	in.Whole.Bottlenecks = diagnose.Rank(in.Whole, in.Scenarios...)
	return nil
}

// Write writes the report under the name out (ending in .md or .html; the other form is
// written beside it) and the other files into the folder results. Every file appears whole
// or not at all.
func Write(in Input, results, out string) ([]string, error) {
	if in.Whole == nil {
		return nil, errors.New("report: the input is not complete")
	}
	assets, err := filepath.Rel(filepath.Dir(out), results)
	if err != nil {
		assets = results
	}
	doc := Build(in)
	doc.Assets = filepath.ToSlash(assets)
	base := strings.TrimSuffix(strings.TrimSuffix(out, ".md"), ".html")
	inResults := func(name string) string { return filepath.Join(results, name) }
	files := []reportFile{
		{base + ".md", func(w io.Writer) error { return Markdown(w, doc) }},
		{base + ".html", func(w io.Writer) error { return HTML(w, doc) }},
		{inResults("recording.json"), func(w io.Writer) error { return recording.Encode(w, in.Whole) }},
		{inResults(memoryfile.PictureName), func(w io.Writer) error { return memoryfile.Draw(w, in.Whole, in.Scenarios) }},
		{inResults(memoryfile.ReportName), memoryReport(in).Write},
		{inResults("latency_report.json"), func(w io.Writer) error { return encode(w, latencyReport(in)) }},
	}
	files = append(files, in.profileFiles(inResults)...)
	var written []string
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return written, err
		}
		if err := recording.WriteFile(f.path, f.fill); err != nil {
			return written, err
		}
		written = append(written, f.path)
	}
	return written, nil
}

type reportFile struct {
	path string
	fill func(io.Writer) error
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
