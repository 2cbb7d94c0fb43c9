package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/recording"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	keep   = flag.String("keep", "", "also write the fixture's report into this folder, to look at it")
)

const flame = `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 300"><style>rect{fill:#d6604d}</style><rect width="1200" height="24"/><rect y="26" width="700" height="24"/><text x="4" y="17">all</text></svg>`

func complete(t *testing.T, in Input) Input {
	t.Helper()
	if err := in.Complete(); err != nil {
		t.Fatal(err)
	}
	return in
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was; see the difference after go test -update", path)
	}
}

func TestMarkdown(t *testing.T) {
	for name, in := range map[string]Input{"full.md": full(), "empty.md": bare()} {
		var out bytes.Buffer
		if err := Markdown(&out, Build(complete(t, in))); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
		for _, bad := range []string{"NaN", "Inf", "%!", "<nil>"} {
			if strings.Contains(out.String(), bad) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
}

func full() Input {
	in := fixture()
	in.Profiles = []Profile{{Kind: "cpu", SVG: []byte(flame), Pprof: []byte("profile")}, {Kind: "off_cpu", SVG: []byte(flame)}, {Kind: "memory", Why: "nothing new was touched"}}
	return in
}

// bare is a recording with nothing in it, as of an agent that could measure nothing.
func bare() Input {
	return Input{Scenarios: []*recording.Recording{{Window: recording.Window{Start: noon}}}}
}

// TestPageStandsAlone parses the page and refuses anything that it would have to fetch.
func TestPageStandsAlone(t *testing.T) {
	for name, in := range map[string]Input{"full": full(), "bare": bare()} {
		var out bytes.Buffer
		if err := HTML(&out, Build(complete(t, in))); err != nil {
			t.Fatal(err)
		}
		page := out.String()
		if m := regexp.MustCompile(`(?i)(src|href)="(https?:)?//|@import|url\(`).FindString(page); m != "" {
			t.Errorf("%s fetches something: %s", name, m)
		}
		if m := regexp.MustCompile(`NaN|Inf%|%!|<nil>|ZgotmplZ`).FindString(page); m != "" {
			t.Errorf("%s contains %q", name, m)
		}
		for _, svg := range regexp.MustCompile(`(?s)<svg class="chart.*?</svg>\s*</figure>`).FindAllString(page, -1) {
			wellFormed(t, strings.TrimSuffix(svg, "</figure>"))
		}
	}
}

func wellFormed(t *testing.T, doc string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("not well formed: %v in %.200s", err, doc)
			return
		}
	}
}

// TestForeignTextIsEscaped: names come from the wire.
func TestForeignTextIsEscaped(t *testing.T) {
	in := fixture()
	evil := `GET /<script>alert(1)</script>|"x`
	for _, r := range in.Scenarios {
		r.Endpoints[0].Endpoint, r.Target.Service = evil, evil
		r.Scenario.Name += "<script>"
		r.Pools[0].Address = "<script>"
	}
	in = complete(t, in)
	var page, text bytes.Buffer
	doc := Build(in)
	if err := errors.Join(HTML(&page, doc), Markdown(&text, doc)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script>") {
		t.Error("the page holds a foreign script")
	}
	if strings.Contains(text.String(), "<script>") {
		t.Error("the Markdown holds a foreign script")
	}
	var picture bytes.Buffer
	if err := memoryfile.Draw(&picture, in.Whole, in.Scenarios); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, picture.String())
}

func TestWriteAllFiles(t *testing.T) {
	dir := t.TempDir()
	if *keep != "" {
		dir = *keep
	}
	in := complete(t, full())
	written, err := Write(in, dir, filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(written) != 9 {
		t.Errorf("wrote %v", written)
	}
	again, err := recording.Read(filepath.Join(dir, "recording.json"))
	if err != nil || len(again.Bottlenecks) == 0 {
		t.Errorf("recording.json: %v, without bottlenecks", err)
	}
	for _, name := range []string{"memory_report.json", "latency_report.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !json.Valid(b) {
			t.Errorf("%s: %v", name, err)
		}
	}
	svg, _ := os.ReadFile(filepath.Join(dir, "memory_profile.svg"))
	wellFormed(t, string(svg))
}

func TestWriteFailsWhole(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(complete(t, fixture()), dir, filepath.Join(blocked, "report.md")); err == nil {
		t.Error("a folder that cannot be made must be an error")
	}
	if _, err := Write(fixture(), dir, filepath.Join(dir, "r.md")); err == nil {
		t.Error("an input that is not complete must be an error")
	}
	if err := (&Input{}).Complete(); err == nil {
		t.Error("no recordings must be an error")
	}
}
