package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// client makes one connection per request: a kept one would hold a backend's slot between
// polls.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// maxBody bounds an answer over HTTP.
const maxBody = 4 << 20

// statusError is an answer other than 200.
type statusError struct {
	url  string
	code int
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.url, e.code, http.StatusText(e.code))
}

// get returns the body of an answer 200.
func get(ctx context.Context, url string, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError{url, resp.StatusCode}
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxBody))
}

func getJSON(ctx context.Context, url string, into any) error {
	body, err := get(ctx, url, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", url, err)
	}
	return nil
}

// askOllama reads /api/version and /api/ps. Models that are not loaded take no memory and are
// not counted.
func askOllama(ctx context.Context, address string) (figures, error) {
	var version struct {
		Version string `json:"version"`
	}
	if err := getJSON(ctx, "http://"+address+"/api/version", &version); err != nil {
		return figures{}, fmt.Errorf("ask ollama at %s for its version: %w", address, err)
	}
	var ps struct {
		Models []struct {
			Size float64 `json:"size"`
			VRAM float64 `json:"size_vram"`
		} `json:"models"`
	}
	if err := getJSON(ctx, "http://"+address+"/api/ps", &ps); err != nil {
		return figures{}, fmt.Errorf("ask ollama at %s for its loaded models: %w", address, err)
	}
	f := figures{version: version.Version, values: map[string]float64{"loaded_models": float64(len(ps.Models)), "model_bytes": 0, "model_vram_bytes": 0}}
	for _, m := range ps.Models {
		f.values["model_bytes"] += m.Size
		f.values["model_vram_bytes"] += m.VRAM
	}
	return f, nil
}
