package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// Agent is a running agent, which records the window of a run.
type Agent struct{ URL string }

// agentTimeout bounds one call to the agent; closing a window writes a whole recording.
const agentTimeout = time.Minute

// Open starts a window and returns its id.
func (a Agent) Open(ctx context.Context, name string) (string, error) {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return "", fmt.Errorf("agent: %w", err)
	}
	var answer struct {
		ID string `json:"id"`
	}
	if err := a.post(ctx, "/api/v1/windows", body, &answer); err != nil {
		return "", err
	}
	if answer.ID == "" {
		return "", fmt.Errorf("agent %s did not name the window; is this a ragscope agent?", a.URL)
	}
	return answer.ID, nil
}

// Close ends a window and returns what the agent saw in it.
func (a Agent) Close(ctx context.Context, id string) (*recording.Recording, error) {
	rec := &recording.Recording{}
	if err := a.post(ctx, "/api/v1/windows/"+url.PathEscape(id)+"/close", nil, rec); err != nil {
		return nil, err
	}
	if rec.Schema != recording.Schema {
		return nil, fmt.Errorf("agent %s answered with schema %q, this loader reads %q; use programs of the same version", a.URL, rec.Schema, recording.Schema)
	}
	return rec, nil
}

func (a Agent) post(ctx context.Context, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(a.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("agent: %w; is `agent run` up and its --listen address right?", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("agent %s: %w", a.URL, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("agent %s: POST %s: %s: %s", a.URL, path, res.Status, clip(string(text)))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("agent %s: POST %s: the answer is not understood: %w", a.URL, path, err)
	}
	return nil
}
