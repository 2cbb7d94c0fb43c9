// Package peer recognises which system a target talks to.
//
// In: what is known of a connection: host, port, path, first bytes. Out: a system's name, one of
// the constants below. It asks nobody and remembers nothing.
package peer

import (
	"strings"

	"github.com/ragscope/ragscope/internal/protocol/llm"
)

// Systems.
const (
	Redis  = "redis"
	Qdrant = "qdrant"
	Neo4j  = "neo4j"
	Ollama = "ollama"
	OpenAI = "openai"
	HTTP   = "http"
)

// System is who answers HTTP on host (the Host header or :authority, with or without port; may be
// ""), port and path: qdrant, ollama, openai (whoever speaks that API) or http. The path says most,
// then the host's name, then the port.
func System(host string, port uint16, path string) string {
	path, _, _ = strings.Cut(path, "?")
	host, _, _ = strings.Cut(host, ":")
	switch {
	case strings.HasPrefix(path, "/qdrant."), path == "/collections", strings.HasPrefix(path, "/collections/"):
		return Qdrant
	case ollamaPath(path):
		return Ollama
	case strings.Contains(host, "ollama"), port == 11434:
		return Ollama
	case strings.Contains(host, "qdrant"), port == 6333, port == 6334:
		return Qdrant
	case llm.IsCall(path), path == "/v1/models", strings.HasSuffix(host, "openai.com"), strings.HasSuffix(host, "openai.azure.com"):
		return OpenAI
	}
	return HTTP
}

// ollamaPath reports whether path is one of Ollama's own API.
func ollamaPath(path string) bool {
	switch path {
	case "/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/tags", "/api/show", "/api/ps", "/api/pull":
		return true
	}
	return false
}

// First is the system whose client sends b first on a new connection, "" where that is not sure.
// HTTP's own systems show by their path (System).
func First(b []byte) string {
	switch {
	case len(b) >= 4 && string(b[:4]) == "\x60\x60\xB0\x17":
		return Neo4j
	case len(b) >= 4 && b[0] == '*' && '1' <= b[1] && b[1] <= '9' && strings.Contains(string(b[:min(len(b), 12)]), "\r\n$"):
		return Redis
	}
	return ""
}

// Port is the system that usually listens on a port, "" where there is none: a hint for a
// connection that was joined midway.
func Port(port uint16) string {
	switch port {
	case 6379, 6380:
		return Redis
	case 7687:
		return Neo4j
	case 6333, 6334:
		return Qdrant
	case 11434:
		return Ollama
	}
	return ""
}
