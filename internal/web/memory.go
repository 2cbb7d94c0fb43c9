package web

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/recording"
)

// memory answers with the report of all that was measured, or draws it.
func (s *server) memory(w http.ResponseWriter, r *http.Request) {
	format := Format(r.FormValue("format"))
	if format != "" && format != SVG {
		fail(w, http.StatusBadRequest, "format is "+string(format)+", want svg or none for JSON")
		return
	}
	rec := s.src.Recording()
	if rec == nil {
		fail(w, http.StatusServiceUnavailable, "nothing is recorded yet: "+s.notReady())
		return
	}
	if format == "" {
		reply(w, http.StatusOK, memoryfile.NewReport(rec))
		return
	}
	var out bytes.Buffer
	if err := memoryfile.Draw(&out, rec, nil); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(out.Bytes())
}

// memoryTone is the colour of a verdict.
var memoryTone = map[string]string{"growing": "warn", "leak suspected": "bad"}

func memoryOf(m recording.Memory) memory {
	if len(m.Timeline) == 0 {
		return memory{}
	}
	last := m.Timeline[len(m.Timeline)-1]
	v := memory{RSS: size(float64(last.RSS)), VMS: size(float64(last.VMS)), Heap: size(float64(last.Heap)),
		Threads: strconv.Itoa(last.Threads), Verdict: m.Verdict, Reason: m.Reason, Tone: memoryTone[m.Verdict], Growth: "not measured: fewer than 30 readings"}
	if last.FDs > 0 {
		v.FDs = strconv.Itoa(last.FDs)
	}
	if g := m.GrowthBytesPerSecond; g != nil {
		v.Growth = size(g.Estimate) + "/s (" + size(g.Low) + " … " + size(g.High) + ")"
	}
	for _, l := range m.Limits {
		v.Limits = append(v.Limits, percent(l.Share)+" of the limit of "+size(float64(l.Bytes))+" ("+l.Basis+")")
	}
	if c := m.Composition; c != nil {
		v.PSS = size(float64(c.PSS))
		for _, p := range c.Parts {
			if p.Bytes >= c.RSS/50 {
				v.Parts = append(v.Parts, figure{p.Kind, size(float64(p.Bytes))})
			}
		}
	}
	var rss []float64
	for _, t := range m.Timeline {
		rss = append(rss, float64(t.RSS))
	}
	v.Spark = sparkline(rss, 0)
	return v
}
