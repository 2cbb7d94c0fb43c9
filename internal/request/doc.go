// Package request is the heart: events of the kernel become requests with calls and stages.
//
// In: Event values in time order (see Sequence for putting them so). Out: finished Request
// values, finished Call values that belong to no request, and counted losses.
// It is pure: no I/O, no clock, no goroutine; the same events always give the same facts, so
// every rule is tested by replaying recorded streams. Its memory is bounded by Limits, not by
// the number of requests.
package request
