// Package pyroscope pushes stack profiles to a Pyroscope server.
//
// In: stack.Profile values, one an interval. Out: series by service_name and endpoint over
// Pyroscope's push API. A Client never blocks its caller and never grows: it holds a bounded
// queue, tries again while the server is away, sends in parts what is too large, and counts by
// reason the profiles that it had to drop.
// StartSelf, for the profiles of this program about itself, is a thing apart.
package pyroscope
