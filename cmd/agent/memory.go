package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/memoryfile"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// memoryCommand follows requests as record does: growth is told per request, and what took memory
// by endpoint.
func memoryCommand() *cli.Command {
	return &cli.Command{
		Name:  "memory",
		Usage: "watch a target's memory under load: does it grow, what is it made of, who takes it",
		Description: `Leaves memory_report.json and memory_profile.svg in a folder and a summary on the screen. A leak takes
   one to three minutes of load to be told from caches that fill.

   sudo agent memory --target :8000 --duration 3m --out results
   sudo agent memory --target :8000 --memory-limit 512MiB

   With --allocations it also says which code asks malloc, and CPython's own allocator, for how much. Each
   call traps then; what that costs is printed before and after, and kept near 10 % of the target's
   CPU time by watching for a part of the time. Leaves allocations.pb.gz and allocations.svg, too.

   sudo agent memory --target :8000 --duration 30s --allocations 10s`,
		Flags: append(append(watchFlags(), fileFlags(3*time.Minute)...),
			&cli.DurationFlag{Name: "allocations", EnvVars: command.Env("allocations"), Usage: "watch calls of allocators for so `LONG`, as 10s; 0 for not at all"}),
		Action: func(c *cli.Context) error {
			return watchIntoFiles(c, memorySummary, writeMemory, memoryfile.ReportName)
		},
	}
}

// writeMemory writes what is known of memory. One file that fails does not take the other with it.
func writeMemory(w *started, rec *recording.Recording, dir string) error {
	var errs []error
	if rec.Memory.Allocations != nil {
		errs = append(errs, writeStacks(w, rec, stack.Malloc, dir))
	}
	return errors.Join(append(errs,
		recording.WriteFile(filepath.Join(dir, memoryfile.PictureName), func(w io.Writer) error { return memoryfile.Draw(w, rec, nil) }),
		recording.WriteFile(filepath.Join(dir, memoryfile.ReportName), memoryfile.NewReport(rec).Write),
	)...)
}

// memorySummary prints what a person wants to know first.
func memorySummary(out io.Writer, r *recording.Recording) {
	m := &r.Memory
	fmt.Fprintf(out, "%s  %s  %s  %.1f s\n\n", r.Target.Service, r.Target.Address, r.Target.Runtime, r.Window.Seconds)
	fmt.Fprintf(out, "memory: %s: %s\n\n", m.Verdict, m.Reason)
	size := func(n uint64) string { return recording.Bytes(float64(n)) }
	if len(m.Timeline) > 0 {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "process\tRSS at the start\tpeak\tat the end\tPSS\theap\tVMS\tthreads\tfiles\t")
		row := func(name string, ticks []recording.MemoryTick, parts *recording.MemoryParts) {
			first, last, peak := ticks[0], ticks[len(ticks)-1], uint64(0)
			for _, x := range ticks {
				peak = max(peak, x.RSS)
			}
			pss := "not measured"
			if parts != nil {
				pss = size(parts.PSS)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t\n", name, size(first.RSS), size(peak), size(last.RSS), pss, size(last.Heap), size(last.VMS), last.Threads, last.FDs)
		}
		for _, p := range m.Processes {
			name := fmt.Sprintf("%s %d", p.Name, p.PID)
			if p.Ended {
				name += " (ended)"
			}
			if len(m.Processes) > 1 {
				name += ": " + p.Verdict
			}
			row(name, p.Timeline, p.Composition)
		}
		if len(m.Processes) != 1 {
			row("all", m.Timeline, m.Composition)
		}
		t.Flush()
	}
	if m.Composition != nil {
		fmt.Fprintln(out)
		for _, p := range m.Composition.Parts {
			fmt.Fprintf(out, "%10s  %s\n", size(p.Bytes), p.Kind)
		}
	}
	fmt.Fprintln(out)
	for _, l := range m.Limits {
		fmt.Fprintf(out, "%s of the limit of %s (%s)\n", recording.Share(l.Share), size(l.Bytes), l.Basis)
	}
	for _, c := range m.Containers[:min(10, len(m.Containers))] {
		fmt.Fprintf(out, "%10s  entries more: %s %s of process %d, used in %s\n", "+"+recording.Number(c.After-c.Before), c.Type, cmp.Or(c.Name, "without a known name"), c.PID, cmp.Or(strings.Join(c.Users, ", "), "no function that is known"))
	}
	for _, h := range m.Hotspots[:min(10, len(m.Hotspots))] {
		fmt.Fprintf(out, "%10s  first touched: %s  %s\n", recording.Bytes(float64(h.Bytes)), h.Endpoint, h.Function)
	}
	allocationsSummary(out, m.Allocations)
	for _, n := range memoryfile.NewReport(r).NotMeasured {
		fmt.Fprintf(out, "not measured: %s: %s\n", n.What, n.Why)
	}
	fmt.Fprintf(out, "\n%s\n", price(r.Overhead))
}

// byRequest says how sure the bytes of an endpoint are.
func byRequest(e *recording.EndpointAllocation) string {
	if e.Requests == 0 {
		return ""
	}
	text := fmt.Sprintf(": %.1f requests", e.Requests)
	if p := e.PerRequest; p != nil {
		text += fmt.Sprintf(" of %s each (%s to %s with 95 %% confidence)", recording.Bytes(p.Estimate), recording.Bytes(p.Low), recording.Bytes(p.High))
	} else {
		text += ", too few to say what one asks for"
	}
	if s := e.Share; s != nil {
		text += fmt.Sprintf("; of all that requests asked for %s (%s to %s)", recording.Share(s.Estimate), recording.Share(s.Low), recording.Share(s.High))
	}
	return text
}

// allocationsSummary prints what allocators were asked for.
func allocationsSummary(out io.Writer, a *recording.Allocations) {
	if a == nil {
		return
	}
	fmt.Fprintf(out, "\nallocations: %s asked for in %d calls, watched for %.2f s of %.2f s, which cost %s of the target's CPU time\n",
		recording.Bytes(float64(a.Bytes)), a.Calls, a.WatchedSeconds, a.Seconds, recording.Share(a.TargetRatio))
	for _, e := range a.Endpoints {
		fmt.Fprintf(out, "%10s  %6s  %s%s\n", recording.Bytes(float64(e.Bytes)), recording.Share(float64(e.Bytes)/max(1, float64(a.Bytes))), e.Endpoint, byRequest(&e))
	}
	for _, h := range a.Hotspots[:min(10, len(a.Hotspots))] {
		fmt.Fprintf(out, "%10s  there: %s  %s\n", recording.Bytes(float64(h.Bytes)), h.Endpoint, h.Function)
	}
	for _, n := range a.NotSeen {
		fmt.Fprintf(out, "not seen: %s\n", n)
	}
	fmt.Fprintln(out)
}
