package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// part is one service of the stack, as data: what must be there first, how it is started, and how one sees that it is up.
type part struct {
	name   string
	after  []string // steps and parts that must be done before its start
	ports  []listener
	argv   []string
	env    []string
	dir    string
	ready  check
	within time.Duration
	off    string // why it is not part of this stack; "" when it is
}

// listener is a port that a part listens on, and the variable that moves it.
type listener struct {
	port     int
	variable string
}

// parts declares the stack. Names in after that are no part are the steps of install.go and fill.go.
func parts(s settings) []part {
	uri := func(scheme string, port int) string { return scheme + "://" + loopback(port) }
	graphURI, noGraph := uri("bolt", s.neo4jPort), graphOff(s)
	if noGraph != "" {
		graphURI = ""
	}
	return []part{
		{
			name:  "redis",
			after: []string{"debian"},
			ports: []listener{{s.redisPort, "DEMO_REDIS_PORT"}},
			argv: []string{"redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(s.redisPort), "--save", "", "--appendonly", "no",
				"--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"},
			dir:    s.state,
			ready:  redisReady(s.redisPort),
			within: 30 * time.Second,
		},
		{
			name:  "ollama",
			after: []string{"llm-server"},
			ports: []listener{{s.ollamaPort, "DEMO_OLLAMA_PORT"}},
			argv:  []string{ollamaBinary(s), "serve"},
			env:   ollamaEnv(s),
			ready: httpReady(uri("http", s.ollamaPort) + "/api/version"), within: time.Minute,
		},
		{
			name:  "qdrant",
			after: []string{"vector-db"},
			ports: []listener{{s.qdrantPort, "DEMO_QDRANT_PORT"}, {s.qdrantGRPCPort, "DEMO_QDRANT_GRPC_PORT"}},
			argv: []string{qdrantBinary(s), "-rest", loopback(s.qdrantPort), "-grpc", loopback(s.qdrantGRPCPort),
				"-delay", fmt.Sprintf("%dms", s.qdrantDelayMS), "-streams", strconv.Itoa(s.qdrantStreams)},
			ready: httpReady(uri("http", s.qdrantPort) + "/readyz"), within: 30 * time.Second,
		},
		{
			name:  "neo4j",
			after: []string{"graph-db"},
			ports: []listener{{s.neo4jPort, "DEMO_NEO4J_PORT"}},
			argv: []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", graphClasspath(s), "demo.Graph",
				filepath.Join(s.state, "neo4j"), strconv.Itoa(s.neo4jPort)},
			ready: boltReady(s.neo4jPort), within: 3 * time.Minute,
			off: noGraph,
		},
		{
			name:  "prometheus",
			after: []string{"debian"},
			ports: []listener{{s.prometheusPort, "DEMO_PROMETHEUS_PORT"}},
			argv: []string{"prometheus", "--config.file", filepath.Join(s.state, "prometheus.yml"),
				"--storage.tsdb.path", filepath.Join(s.state, "prometheus"), "--web.listen-address", loopback(s.prometheusPort)},
			ready: httpReady(uri("http", s.prometheusPort) + "/-/ready"), within: time.Minute,
			off: offUnless(s.usePrometheus, "DEMO_PROMETHEUS=off"),
		},
		{
			name:  "api",
			after: []string{"python", "redis", "qdrant", "neo4j", "ollama"},
			ports: []listener{{s.apiPort, "DEMO_API_PORT"}},
			argv: []string{venvBin(s, "uvicorn"), "app:app", "--host", "127.0.0.1", "--port", strconv.Itoa(s.apiPort),
				"--workers", strconv.Itoa(s.workers), "--no-access-log", "--timeout-graceful-shutdown", "3"},
			env:   apiEnv(s, graphURI),
			dir:   filepath.Join(s.demoDir(), "api"),
			ready: httpReady(uri("http", s.apiPort) + "/health"), within: 2 * time.Minute,
		},
	}
}

// apiEnv gives the API its settings; it knows nothing of the demo's own variables.
func apiEnv(s settings, graphURI string) []string {
	cache := "off"
	if s.useCache {
		cache = "on"
	}
	return []string{
		"REDIS_URL=redis://" + loopback(s.redisPort) + "/0",
		"REDIS_MAX_CONNECTIONS=" + strconv.Itoa(s.redisPool),
		"SESSION_TURN_WAIT_MS=" + strconv.Itoa(s.redisDelayMS),
		"CACHE=" + cache,
		"RATE_LIMIT_PER_MINUTE=" + strconv.Itoa(s.rateLimit),
		"QDRANT_HOST=127.0.0.1",
		"QDRANT_PORT=" + strconv.Itoa(s.qdrantPort),
		"QDRANT_GRPC_PORT=" + strconv.Itoa(s.qdrantGRPCPort),
		"NEO4J_URI=" + graphURI,
		"OLLAMA_URL=http://" + loopback(s.ollamaPort),
		"HTTP_MAX_CONNECTIONS=" + strconv.Itoa(s.httpPool),
		"MAX_TOKENS=" + strconv.Itoa(s.tokens),
		"PYTHONDONTWRITEBYTECODE=1", // nothing is written into the checkout
		"PYTHONUNBUFFERED=1",
	}
}

func ollamaEnv(s settings) []string {
	return []string{
		"OLLAMA_HOST=" + loopback(s.ollamaPort),
		"OLLAMA_MODELS=" + s.cached("ollama-models"),
		"HOME=" + s.cached("ollama-home"), // it keeps a key there
		"OLLAMA_NUM_PARALLEL=" + strconv.Itoa(s.llmParallel),
		"OLLAMA_MAX_LOADED_MODELS=2",
		"OLLAMA_KEEP_ALIVE=-1",
	}
}

func offUnless(on bool, why string) string {
	if on {
		return ""
	}
	return why
}
