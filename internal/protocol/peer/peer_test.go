package peer

import (
	"testing"

	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

func TestSystem(t *testing.T) {
	for _, c := range []struct {
		host string
		port uint16
		path string
		want string
	}{
		{"127.0.0.1:29001", 29001, "/qdrant.Points/Query", Qdrant},
		{"db", 80, "/collections/a/points/search", Qdrant},
		{"db", 80, "/collectionsabout", HTTP},
		{"qdrant.svc:6333", 6333, "/", Qdrant},
		{"localhost", 6334, "", Qdrant},
		{"localhost:9999", 9999, "/api/chat", Ollama},
		{"localhost:11434", 11434, "/v1/chat/completions", Ollama},
		{"ollama:8080", 8080, "/v1/embeddings", Ollama},
		{"api.openai.com", 443, "/v1/chat/completions?x=1", OpenAI},
		{"vllm:8000", 8000, "/v1/chat/completions", OpenAI},
		{"api", 8000, "/api/v1/chat", HTTP},
		{"", 0, "", HTTP},
	} {
		if got := System(c.host, c.port, c.path); got != c.want {
			t.Errorf("%s %d %s: %s, want %s", c.host, c.port, c.path, got, c.want)
		}
	}
}

// TestFirst looks at the first bytes of captured connections.
func TestFirst(t *testing.T) {
	for file, want := range map[string]string{"redis.cap": Redis, "bolt.cap": Neo4j, "http_h11.cap": "", "grpc.cap": ""} {
		if got := First(wiretest.Read(t, file)[0].Bytes); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	for _, b := range []string{"", "*", "*3\r\n", "*3 items"} {
		if got := First([]byte(b)); got != "" {
			t.Errorf("%q: %q", b, got)
		}
	}
}

func TestPort(t *testing.T) {
	for port, want := range map[uint16]string{6379: Redis, 7687: Neo4j, 6334: Qdrant, 11434: Ollama, 8000: ""} {
		if got := Port(port); got != want {
			t.Errorf("%d: %q, want %q", port, got, want)
		}
	}
}

func FuzzFirst(f *testing.F) {
	f.Add([]byte("*1\r\n$4\r\nPING\r\n"), "/api/chat?x", "host:1", uint16(80))
	f.Fuzz(func(t *testing.T, b []byte, path, host string, port uint16) {
		if First(b) == HTTP || System(host, port, path) == "" {
			t.Fatal("a system of no name")
		}
	})
}
