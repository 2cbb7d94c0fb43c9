package ui

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	agentTimeout = 3 * time.Second
	maxPart      = 8 << 20 // bytes of the agent's answer
)

// agent gives the part of the agent's page about stages and pool waits, as the agent wrote it.
func (u *UI) agent(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Agent == "" {
		http.Error(w, "the loader was started without --agent", http.StatusNotFound)
		return
	}
	part, err := u.agentPart(r.Context())
	if err != nil {
		http.Error(w, "the agent at "+u.cfg.Agent+" does not answer: "+err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	_, _ = w.Write(part)
}

func (u *UI) agentPart(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(u.cfg.Agent, "/")+"/?part=waits", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPart))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s", res.Status)
	case bytes.Contains(text[:min(len(text), 512)], []byte("<!doctype")):
		return nil, fmt.Errorf("it answers with a whole page: is it an agent of this version?")
	}
	return text, nil
}
