// Package locustfile turns the common part of a locustfile into a scenario.
//
// In: a locustfile. Out: the text of a scenario file, and a list of what could not be translated,
// with lines and reasons. The locustfile is parsed and never run.
//
// Python's own parser reads it (python3 -c "import ast …"): whoever has a locustfile has the
// Python it was written for, and so every version's syntax is understood. Go has no parser to
// build on: gpython's is that of Python 3.4, which knows no f-strings, and tree-sitter needs cgo.
package locustfile
