// Package target finds the processes to watch and what they are made of.
//
// In comes a selector as a user writes it (":8000", "pid:123", "name:uvicorn", "cgroup:/path") and
// what the host shows read-only: /proc, the executable files of the processes, and one GET of
// /openapi.json. Out comes a [Target] (service name, address, processes), for each CPython process
// a [Python] (where its memory holds the current Context, which file offsets to trap), and a
// [Router] that turns a path into an endpoint.
//
// It never writes to a target, never stops or traces it, never reads its memory, and never needs
// debug information: addresses that are not exported are derived from the machine code and from
// relocated tables, and checked against what is known of the version. A derivation that does not
// agree is an error, not a guess. Of a process's environment only the variables PATH, VIRTUAL_ENV
// and OTEL_SERVICE_NAME are looked at.
package target
