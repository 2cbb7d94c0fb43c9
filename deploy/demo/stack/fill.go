package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// fillSteps put models, vectors and graph into the running services.
func fillSteps(s settings, f *family) []step {
	return []step{
		{"load-models", []string{"ollama", "models"}, func(ctx context.Context) (string, error) { return loadModels(ctx, s, f) }},
		{"fill", []string{"python", "corpus", "load-models", "qdrant", "neo4j"}, func(ctx context.Context) (string, error) { return fill(ctx, s, f) }},
	}
}

// loadModels makes the models known to Ollama once, and brings both into its memory.
func loadModels(ctx context.Context, s settings, f *family) (string, error) {
	key, err := os.ReadFile(s.cached("models") + ".stamp")
	if err != nil {
		return "", err
	}
	_, err = onlyOnce(s.cached("ollama-models"), string(key), func() error {
		for name := range modelfiles {
			p := program{name: "ollama-create", argv: []string{ollamaBinary(s), "create", name, "-f", "Modelfile"}, env: ollamaEnv(s), dir: modelDir(s, name)}
			if err := f.run(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := askOllama(ctx, s, "/api/embed", map[string]any{"model": "all-minilm", "input": "warm"}); err != nil {
		return "", err
	}
	err = askOllama(ctx, s, "/api/generate", map[string]any{"model": "smollm2", "prompt": "Hi", "stream": false, "options": map[string]int{"num_predict": 1}})
	return "chat and embedding models in memory", err
}

func askOllama(ctx context.Context, s settings, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return postJSON(ctx, "http://"+loopback(s.ollamaPort)+path, text)
}

// postJSON wants status 200 for a body.
func postJSON(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, bytes.TrimSpace(answer))
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// fill runs the API's own indexing program, whose output says what came of it.
func fill(ctx context.Context, s settings, f *family) (string, error) {
	var env []string
	for _, p := range parts(s) {
		if p.name == "api" {
			env = p.env
		}
	}
	p := program{name: "fill", env: env, dir: filepath.Join(s.demoDir(), "api"),
		argv: []string{venvBin(s, "python"), "index.py", passagesFile(s), s.cache}}
	if err := f.run(ctx, p); err != nil {
		return "", err
	}
	text, err := os.ReadFile(s.log("fill"))
	if err != nil {
		return "", err
	}
	var came []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "qdrant: ") || strings.HasPrefix(line, "neo4j: ") {
			came = append(came, line)
		}
	}
	return strings.Join(came, ", "), nil
}

// writePrometheusConfig fills the template deploy/demo/prometheus.yml with the ports.
func writePrometheusConfig(s settings) error {
	source, err := template.ParseFiles(filepath.Join(s.demoDir(), "prometheus.yml"))
	if err != nil {
		return err
	}
	var text bytes.Buffer
	ports := map[string]string{"Agent": loopback(s.agentPort), "Qdrant": loopback(s.qdrantPort), "API": loopback(s.apiPort)}
	if err := source.Execute(&text, ports); err != nil {
		return err
	}
	return writeFile(filepath.Join(s.state, "prometheus.yml"), text.Bytes())
}
