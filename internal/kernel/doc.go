// Package kernel loads bpf/, attaches it to the watched processes and reads what it reports.
//
// In: processes to watch and what room target knows of them. Out: events in the order of the
// ring buffer, counters of everything lost, which hooks are attached, and what they cost the
// target. It never interprets an event, and it writes nothing to a process: links are file
// descriptors, so that a killed agent leaves nothing behind.
package kernel
