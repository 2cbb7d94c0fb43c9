package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings is everything that the environment decides.
type settings struct {
	root  string // the checkout
	state string // .demo in the checkout: logs, data of the databases, what runs
	cache string // outside the checkout: what is slow to make

	apiPort, redisPort, ollamaPort, qdrantPort, qdrantGRPCPort, neo4jPort, prometheusPort, agentPort int

	redisPool, redisDelayMS              int
	qdrantDelayMS, qdrantStreams         int
	llmParallel, httpPool, workers       int
	tokens, rateLimit                    int
	useCache, useGraph, usePrometheus    bool
	python, corpus, results, agent, load string

	scenarioTime time.Duration
	scenarios    []string
	rate         float64 // of the baseline, req/s; 0: found in the warm-up

	knobs []knob
}

// knob is one variable with its present value, for "env" and the README.
type knob struct{ name, value, doc string }

// settingsReader reads variables, and remembers each with its meaning and the mistakes in it.
type settingsReader struct {
	lookup func(string) (string, bool)
	knobs  []knob
	errs   []error
}

func (r *settingsReader) text(name, fallback, doc string) string {
	value, ok := r.lookup(name)
	if !ok || value == "" {
		value = fallback
	}
	r.knobs = append(r.knobs, knob{name, value, doc})
	return value
}

func (r *settingsReader) number(name string, fallback, least, most int, doc string) int {
	text := r.text(name, strconv.Itoa(fallback), doc)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.errs = append(r.errs, fmt.Errorf("%s=%q: want a whole number from %d to %d (%s)", name, text, least, most, doc))
	}
	return n
}

func (r *settingsReader) port(name string, fallback int, doc string) int {
	return r.number(name, fallback, 1, 65535, "port of "+doc)
}

func (r *settingsReader) on(name, doc string) bool {
	text := r.text(name, "on", doc)
	if text != "on" && text != "off" {
		r.errs = append(r.errs, fmt.Errorf("%s=%q: want on or off (%s)", name, text, doc))
	}
	return text == "on"
}

// scenarioNames are the loader's built-in scenarios, in the order in which the demo runs them.
var scenarioNames = []string{"baseline", "ramp", "peak", "breaking"}

func loadSettings(lookup func(string) (string, bool)) (settings, error) {
	r := &settingsReader{lookup: lookup}
	s := settings{
		redisPool:     r.number("DEMO_REDIS_POOL", 10, 1, 10000, "connections in the API's Redis pool"),
		redisDelayMS:  r.number("DEMO_REDIS_DELAY_MS", 0, 0, 60000, "how long each session step holds a Redis connection (BLPOP on an empty key)"),
		qdrantDelayMS: r.number("DEMO_QDRANT_DELAY_MS", 0, 0, 60000, "how long Qdrant waits before each search"),
		qdrantStreams: r.number("DEMO_QDRANT_STREAMS", 0, 0, 1<<30, "concurrent gRPC streams that Qdrant allows on a connection (0: no limit)"),
		llmParallel:   r.number("DEMO_LLM_PARALLEL", 2, 1, 64, "answers that Ollama generates at a time (OLLAMA_NUM_PARALLEL)"),
		httpPool:      r.number("DEMO_HTTP_POOL", 50, 1, 10000, "connections in the API's HTTP pool to Ollama"),
		workers:       r.number("DEMO_WORKERS", 1, 1, 64, "uvicorn workers"),
		tokens:        r.number("DEMO_TOKENS", 24, 1, 512, "tokens of an answer at most"),
		useCache:      r.on("DEMO_CACHE", "cache embeddings and answers in Redis"),
		rateLimit:     r.number("DEMO_RATE_LIMIT", 60000, 0, 1<<30, "searches a minute and client before the API answers 429 (0: no limit)"),
		useGraph:      r.on("DEMO_GRAPH", "run Neo4j, and let hybrid search use it"),
		usePrometheus: r.on("DEMO_PROMETHEUS", "run Prometheus"),
	}
	seconds := r.number("DEMO_SECONDS", 30, 3, 86400, "length of each scenario in seconds")
	scenarios := r.text("DEMO_SCENARIOS", strings.Join(scenarioNames, ","), "scenarios to run, of "+strings.Join(scenarioNames, ","))
	rate := r.text("DEMO_RATE", "auto", "baseline's requests a second; ramp and peak reach twice, breaking four times that (auto: found in the warm-up)")
	s.apiPort = r.port("DEMO_API_PORT", 28000, "the RAG API")
	s.redisPort = r.port("DEMO_REDIS_PORT", 28379, "Redis")
	s.ollamaPort = r.port("DEMO_OLLAMA_PORT", 28434, "Ollama")
	s.qdrantPort = r.port("DEMO_QDRANT_PORT", 28333, "Qdrant's REST API")
	s.qdrantGRPCPort = r.port("DEMO_QDRANT_GRPC_PORT", 28334, "Qdrant's gRPC API")
	s.neo4jPort = r.port("DEMO_NEO4J_PORT", 28687, "Neo4j (Bolt)")
	s.prometheusPort = r.port("DEMO_PROMETHEUS_PORT", 28090, "Prometheus")
	s.agentPort = r.port("DEMO_AGENT_PORT", 9470, "the agent")
	s.python = r.text("DEMO_PYTHON", "python3", "Python that the API runs on")
	s.corpus = r.text("DEMO_CORPUS", "", "passages.jsonl to use instead of the Debian Reference")
	s.results = r.text("DEMO_RESULTS", "results", "folder for the results")
	s.agent = r.text("DEMO_AGENT", "bin/agent", "the agent's program")
	s.load = r.text("DEMO_LOADER", "bin/loader", "the loader's program")
	s.cache = r.text("DEMO_CACHE_DIR", defaultCache(lookup), "folder for what is slow to make")
	s.knobs = r.knobs

	s.scenarioTime = time.Duration(seconds) * time.Second
	for _, name := range strings.Split(scenarios, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(scenarioNames, name) {
			r.errs = append(r.errs, fmt.Errorf("DEMO_SCENARIOS: %q is no scenario; there are %s", name, strings.Join(scenarioNames, ", ")))
		}
		s.scenarios = append(s.scenarios, name)
	}
	if rate != "auto" {
		value, err := strconv.ParseFloat(rate, 64)
		if err != nil || !(value > 0 && value < 1e6) {
			r.errs = append(r.errs, fmt.Errorf("DEMO_RATE=%q: want requests a second, above 0, or auto", rate))
		}
		s.rate = value
	}
	if err := errors.Join(r.errs...); err != nil {
		return settings{}, err
	}
	return s, s.locate()
}

func defaultCache(lookup func(string) (string, bool)) string {
	if dir, ok := lookup("XDG_CACHE_HOME"); ok && dir != "" {
		return filepath.Join(dir, "ragscope")
	}
	home, ok := lookup("HOME")
	if !ok || home == "" {
		home = "/tmp"
	}
	return filepath.Join(home, ".cache", "ragscope")
}

// locate finds the checkout from the working directory upwards, and makes all paths absolute.
func (s *settings) locate() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "deploy/demo/stack")); err == nil {
			break
		}
		if dir == "/" {
			return errors.New("deploy/demo was not found here or above: run this inside the checkout")
		}
	}
	s.root = dir
	s.state = filepath.Join(dir, ".demo")
	for _, path := range []*string{&s.corpus, &s.results, &s.agent, &s.load, &s.cache} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	return nil
}

func (s settings) demoDir() string           { return filepath.Join(s.root, "deploy/demo") }
func (s settings) logDir() string            { return filepath.Join(s.state, "logs") }
func (s settings) log(name string) string    { return filepath.Join(s.logDir(), name+".log") }
func (s settings) cached(name string) string { return filepath.Join(s.cache, name) }

func printSettings(w io.Writer, s settings) error {
	for _, k := range s.knobs {
		if _, err := fmt.Fprintf(w, "%-44s # %s\n", k.name+"="+k.value, k.doc); err != nil {
			return err
		}
	}
	return nil
}
