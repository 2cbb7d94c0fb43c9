package memoryfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/recording/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

const schemaFile = "report.schema.json"

// TestSchemaIsCurrent holds the published JSON Schema to the Go types and their comments.
func TestSchemaIsCurrent(t *testing.T) {
	want, err := schema.Write(schema.Source{
		ID: Schema, Root: reflect.TypeFor[Report](),
		Files: []string{"report.go", "../../recording/recording.go", "../../recording/memory.go"},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, schemaFile, want)
}

// golden holds a file to what it should be.
func golden(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the code writes; run go test ./internal/export/memoryfile -update and look at the difference", name)
	}
}

// The report holds the recording's own figures, and of what was not measured what bears on memory.
func TestReport(t *testing.T) {
	rec := &recording.Recording{
		Target: recording.Target{Service: "rag", PIDs: []int{7}}, Window: recording.Window{Start: time.Unix(1, 0), Seconds: 2},
		Endpoints: []recording.Endpoint{{Requests: 3}, {Requests: 4}},
		Memory: recording.Memory{
			Timeline:     []recording.MemoryTick{{T: 0, RSS: 5}, {T: 1, RSS: 9, PSS: 8}, {T: 2, RSS: 6}},
			MemoryGrowth: recording.MemoryGrowth{Verdict: "too short to say", Reason: "3 readings of memory, 30 are needed"},
		},
		NotMeasured: []recording.NotMeasured{{What: "TLS", Why: "no"}, {What: Hotspots, Why: "not sampled"}, {What: "PSS, what memory consists of", Why: "no right"}},
	}
	var out bytes.Buffer
	if err := NewReport(rec).Write(&out); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"schema": Schema, "service": "rag", "requests": 7., "peak_rss_bytes": 9., "verdict": "too short to say"} {
		if got[key] != want {
			t.Errorf("%s: %v, want %v", key, got[key], want)
		}
	}
	if n := len(got["not_measured"].([]any)); n != 2 {
		t.Errorf("not measured: %v, want two", got["not_measured"])
	}
	if n := len(got["timeline"].([]any)); n != 3 {
		t.Errorf("%d readings, want 3", n)
	}
	rec.Memory.Timeline = nil
	if r := NewReport(rec); r.PeakRSS != nil {
		t.Errorf("a peak of %d bytes without a reading", *r.PeakRSS)
	}
}
