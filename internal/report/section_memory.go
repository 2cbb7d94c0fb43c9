package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/recording"
)

func (b *builder) memory() Section {
	s := Section{Number: 4, ID: "memory", Title: "Memory profile", Short: "Memory"}
	m := b.whole.Memory
	if len(m.Timeline) == 0 {
		s.text("The target's memory was not measured: the recordings hold no readings.")
	} else {
		s.picture(memoryPicture(b.whole, b.in.Scenarios))
		s.table(memoryTable(m.Timeline))
	}
	if c := m.Composition; c != nil && c.RSS > 0 {
		s.table(compositionTable(c))
	}
	s.table(b.growthTable())
	if len(m.Hotspots) == 0 {
		s.text("Memory hot spots by stack: not measured (" + hotspotsWhy(b.whole) + ").")
	} else {
		t := &Table{Caption: "Where new memory was first touched", Note: "What makes the process grow is not always what keeps memory: what is freed goes to the next who asks.", Columns: columns("Function,Endpoint,Stack (innermost last)", "Bytes")}
		for _, h := range m.Hotspots[:min(10, len(m.Hotspots))] {
			t.row(plain(or(h.Function), h.Endpoint, strings.Join(h.Stack[max(0, len(h.Stack)-4):], " → "), recording.Bytes(float64(h.Bytes)))...)
		}
		s.table(t)
	}
	s.table(cacheTable(b.whole))
	return s
}

// hotspotsWhy gives the recording's own reason where it has one.
func hotspotsWhy(r *recording.Recording) string {
	return cmp.Or(r.WhyNot(memoryfile.Hotspots), "the recording holds no allocation stacks")
}

func memoryTable(ticks []recording.MemoryTick) *Table {
	t := &Table{Caption: "Memory of all the target's processes", Columns: columns("", "At the start,Peak,At the end")}
	first, last := ticks[0], ticks[len(ticks)-1]
	for _, k := range []struct {
		title string
		of    func(recording.MemoryTick) uint64
		form  func(uint64) string
	}{
		{"RSS", func(t recording.MemoryTick) uint64 { return t.RSS }, size},
		{"Heap (anonymous private)", func(t recording.MemoryTick) uint64 { return t.Heap }, size},
		{"VMS", func(t recording.MemoryTick) uint64 { return t.VMS }, size},
		{"Swapped out", func(t recording.MemoryTick) uint64 { return t.Swap }, size},
		{"Open file descriptors", func(t recording.MemoryTick) uint64 { return uint64(max(0, t.FDs)) }, func(n uint64) string { return fmt.Sprint(n) }},
		{"Threads", func(t recording.MemoryTick) uint64 { return uint64(max(0, t.Threads)) }, func(n uint64) string { return fmt.Sprint(n) }},
	} {
		peak := uint64(0)
		for _, tick := range ticks {
			peak = max(peak, k.of(tick))
		}
		if peak == 0 && k.title == "Swapped out" {
			continue // nothing was
		}
		if peak == 0 {
			t.row(plain(k.title, missing, missing, missing)...)
			continue
		}
		t.row(plain(k.title, k.form(k.of(first)), k.form(peak), k.form(k.of(last)))...)
	}
	return t
}

// compositionTable tells the kinds of memory apart.
func compositionTable(c *recording.MemoryParts) *Table {
	t := &Table{Caption: "What memory consists of, all processes", Columns: columns("Kind,Told by", "Bytes,Share"),
		Note: fmt.Sprintf("RSS %s, of it anonymous %s; %s where pages that processes share are divided among them (PSS).", size(c.RSS), size(c.Anonymous), size(c.PSS))}
	for _, p := range c.Parts {
		t.row(plain(p.Kind, p.Basis, size(p.Bytes), recording.Share(float64(p.Bytes)/float64(c.RSS)))...)
	}
	return t
}

func size(n uint64) string { return recording.Bytes(float64(n)) }

// growthTable shows the growth that the agent computed, for the whole run and by scenario.
func (b *builder) growthTable() *Table {
	t := &Table{Caption: "Growth and leak verdict", Columns: columns("Over,Verdict,Why", "Growth a minute,95 % interval,per 1 000 requests"),
		Note: "The warm-up is left out. A leak is suspected only when the whole interval lies above zero and growth does not slow down; a cache that fills grows too, so a short run cannot prove one."}
	add := func(over string, m recording.Memory) {
		rate, interval, perRequests := missing, missing, missing
		if g := m.GrowthPerThousand; g != nil {
			perRequests = recording.Bytes(g.Estimate)
		}
		if g := m.GrowthBytesPerSecond; g != nil {
			rate = recording.Bytes(g.Estimate * 60)
			interval = recording.Bytes(g.Low*60) + " to " + recording.Bytes(g.High*60)
		}
		t.row(plain(over, or(m.Verdict), m.Reason, rate, interval, perRequests)...)
	}
	add("whole run", b.whole.Memory)
	for _, r := range b.in.Scenarios {
		add(name(r), r.Memory)
	}
	return t
}

// cacheTable shows what Redis says about itself, and the hit rate by endpoint as seen in its
// replies.
func cacheTable(r *recording.Recording) *Table {
	t := &Table{Caption: "Redis: memory, evictions, hit rate", Columns: columns("Figure,Source", "Value")}
	said := "Redis about itself"
	found := false
	for _, b := range r.Backends {
		if !strings.HasPrefix(b.Peer, "redis") {
			continue
		}
		found = true
		value := func(title string, figures map[string]float64, key string, form func(float64) string) {
			text := missing
			if v, ok := redisFigure(figures, key); ok {
				text = form(v)
			}
			t.row(plain(title, said, text)...)
		}
		used := "used_memory"
		if _, ok := redisFigure(b.Values, "memory_used_bytes"); ok {
			used = "memory_used_bytes"
		}
		value("Memory used", b.Values, used, recording.Bytes)
		value("Evictions", b.Rates, "evicted_keys", recording.Rate)
		rate := missing
		hits, ok1 := redisFigure(b.Rates, "keyspace_hits")
		misses, ok2 := redisFigure(b.Rates, "keyspace_misses")
		if ok1 && ok2 && hits+misses > 0 {
			rate = recording.Share(hits / (hits + misses))
		}
		t.row(plain("Hit rate, all look-ups", said, rate)...)
	}
	if !found {
		t.row(plain("Memory, evictions", said, missing)...)
		t.Note = "The recording holds no figures of Redis about itself."
	}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		if n := e.Cache.Hits + e.Cache.Misses; n > 0 {
			t.row(plain("Hit rate, "+e.Endpoint, "replies on the wire", fmt.Sprintf("%s of %s", recording.Share(float64(e.Cache.Hits)/float64(n)), recording.Number(n)))...)
		}
	}
	return t
}

// peakRSS is the largest RSS in bytes; 0: not measured.
func peakRSS(r *recording.Recording) (peak uint64) {
	for _, t := range r.Memory.Timeline {
		peak = max(peak, t.RSS)
	}
	return peak
}
