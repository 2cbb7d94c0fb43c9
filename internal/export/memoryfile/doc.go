// Package memoryfile writes what a recording says of memory: memory_report.json and
// memory_profile.svg.
//
// In: recording.Recording. Out: Report, the JSON file with its schema, and one self-contained
// picture: memory over time with the growth and its interval, the verdict in words, what memory
// consists of, and the stacks that took it. It draws no conclusion of its own, and loads nothing
// from anywhere.
package memoryfile
