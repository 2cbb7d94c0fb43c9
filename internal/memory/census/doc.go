// Package census counts what the containers of a CPython process hold: lists, dictionaries, sets
// and deques, with the name of the module's variable where one refers to them.
//
// In: a process and where its interpreter lies. Out: the containers of some size, by address; two
// such counts tell which container grows, which is where a leak keeps what it keeps.
//
// It follows the lists of the garbage collector in the process's memory, which it only reads
// (/proc/PID/mem), while the process runs: what changes meanwhile may be missed, so a count says
// whether it came to its end. It never stops the process, and sets nothing in it.
//
// Layouts: Include/internal/pycore_gc.h, pycore_dict.h, cpython/dictobject.h, setobject.h and
// unicodeobject.h of CPython 3.8 to 3.13 on 64-bit machines.
package census
