// Package http2 knows HTTP/2's frames (RFC 9113) and decodes header blocks (HPACK, RFC 7541) of
// which a part, or a connection's beginning, was not seen.
//
// In: frame headers, header blocks, flags that say what is missing. Out: the few fields that a
// call is known by, and how many fields could not be told. Values of all other fields, api-key
// and authorization among them, are skipped: the dynamic table keeps their slots and sizes only.
package http2
