// Package web is the agent's own page and its HTTP interface.
//
// In: recordings of what is happening, from a Source. Out: one http.Handler with
//
//	GET  /                               the page: where the time goes, pools, memory, and how far to trust it
//	GET  /healthz                        200 once attached to a target, 503 with the reason before
//	GET  /api/v1/recording               what was measured since the agent attached, as recording.json
//	POST /api/v1/windows                 {"name": …} opens a window over the facts to come → {"id": …}
//	POST /api/v1/windows/{id}/close      ends it → its recording.json
//	GET  /api/v1/profile/{kind}          ?format=pprof|svg&endpoint=…, kind cpu, off_cpu or memory
//	GET  /api/v1/memory                  memory_report.json of that time; ?format=svg: its picture
//	GET  /pprof/{kind}/                  google/pprof's own pages (flame graph, top, peek, graph) of the same profile
//
// Errors of the interface are JSON, {"error": "a sentence"}. The page needs no other server:
// styles, script and pictures are in it. The package never measures and never changes what
// was measured; the browser gets figures that the server wrote.
package web
