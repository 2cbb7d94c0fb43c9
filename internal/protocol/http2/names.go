package http2

import "github.com/ragscope/ragscope/internal/protocol"

// name is a field's name as far as it matters here.
type name uint8

const (
	skipped name = iota // a field whose value is not kept
	unknown             // its name is an entry that is not known
	method
	path
	authority
	status
	grpcStatus
	contentType
	requestID
	traceParent
)

var names = map[string]name{":method": method, ":path": path, ":authority": authority, ":status": status,
	"grpc-status": grpcStatus, "content-type": contentType, "x-request-id": requestID, "traceparent": traceParent}

// staticLen is the number of entries of the static table (RFC 7541, appendix A).
const staticLen = 61

var (
	staticNames = [staticLen + 1]name{1: authority, 2: method, 3: method, 4: path, 5: path,
		8: status, 9: status, 10: status, 11: status, 12: status, 13: status, 14: status, 31: contentType}
	staticValues = [staticLen + 1]string{2: "GET", 3: "POST", 4: "/", 5: "/index.html",
		8: "200", 9: "204", 10: "206", 11: "304", 12: "400", 13: "404", 14: "500"}
	// staticNameLens are the lengths of all names, for the sizes of entries that use them.
	staticNameLens = [staticLen + 1]int{1: 10, 2: 7, 3: 7, 4: 5, 5: 5, 6: 7, 7: 7,
		8: 7, 9: 7, 10: 7, 11: 7, 12: 7, 13: 7, 14: 7,
		15: 14, 16: 15, 17: 15, 18: 13, 19: 6, 20: 27, 21: 3, 22: 5, 23: 13, 24: 13, 25: 19, 26: 16, 27: 16,
		28: 14, 29: 16, 30: 13, 31: 12, 32: 6, 33: 4, 34: 4, 35: 6, 36: 7, 37: 4, 38: 4, 39: 8, 40: 17, 41: 13,
		42: 8, 43: 19, 44: 13, 45: 4, 46: 8, 47: 12, 48: 18, 49: 19, 50: 5, 51: 7, 52: 7, 53: 11, 54: 6, 55: 10,
		56: 25, 57: 17, 58: 10, 59: 4, 60: 3, 61: 16}
)

// set takes in a decoded field. A pseudo-field whose value is not known leaves its place empty.
func (f *Fields) set(nm name, v string) {
	switch nm {
	case unknown:
		f.Unknown++
	case method:
		f.Method = v
	case path:
		f.Path = v
	case authority:
		f.Authority = v
	case status:
		n, _ := protocol.Decimal(v, maxStatus)
		f.Status = int(n)
	case grpcStatus:
		if n, ok := protocol.Decimal(v, maxStatus); ok {
			f.GRPCStatus = int(n)
		}
	case contentType:
		f.ContentType = v
	case requestID:
		f.RequestID = v
	case traceParent:
		f.TraceParent = v
	}
}

func (f *Fields) get(nm name) string {
	switch nm {
	case method:
		return f.Method
	case path:
		return f.Path
	case authority:
		return f.Authority
	case contentType:
		return f.ContentType
	}
	return ""
}

// keep remembers the strings of g that are likely to come again.
func (f *Fields) keep(g Fields) {
	for _, s := range [...]struct {
		to   *string
		from string
	}{{&f.Method, g.Method}, {&f.Path, g.Path}, {&f.Authority, g.Authority}, {&f.ContentType, g.ContentType}} {
		if s.from != "" {
			*s.to = s.from
		}
	}
}

// maxStatus is the number of digits of an HTTP or gRPC status.
const maxStatus = 3
