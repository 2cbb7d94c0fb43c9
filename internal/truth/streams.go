package truth

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// StreamSettings choose the model server and how the application runs.
type StreamSettings struct {
	Loop      string // uvloop or asyncio; default uvloop
	Ollama    bool   // the real one, else the server of this package
	At        int    // streams at a time
	Each      int    // of each kind
	Precision kernel.Precision
}

// StreamFindings is the agent beside what both ends of the application know.
type StreamFindings struct {
	Settings  StreamSettings       `json:"settings"`
	Sent      int                  `json:"sent"`
	Seen      int                  `json:"seen"`                      // with the model call in them
	Counts    int                  `json:"counts"`                    // whose tokens, in and out, are the server's own
	Chunks    int                  `json:"chunks"`                    // whose count of chunks is the number of tokens
	First     Spread               `json:"first_token_error_seconds"` // to the client, by its clock
	Arrival   Spread               `json:"arrival_error_seconds"`     // of the first token at the application, by the server's clock
	Last      Spread               `json:"last_arrival_error_seconds"`
	Forward   Spread               `json:"forward_error_seconds"` // mean delay of a stream's tokens, where each came alone
	Known     float64              `json:"known_forward_seconds"` // the mean of it
	Recording *recording.Recording `json:"-"`
}

// streamed is what the client saw of one stream, in seconds on CLOCK_MONOTONIC.
type streamed struct {
	id, path string
	sent     float64
	tokens   []float64 // when the event of each was read
}

// streamKinds are what the model server does with the tokens of a question of this name.
var streamKinds = []string{"alone", "together", "apart", "across"}

// RunStreams drives streams through the application.
func RunStreams(ctx context.Context, dir string, set StreamSettings) (*StreamFindings, error) {
	s := NewStand(dir)
	defer s.Close()
	python, err := venv("chat")
	if err != nil {
		return nil, err
	}
	server, model, known, err := s.startLLM(set.Ollama)
	if err != nil {
		return nil, err
	}
	if known != nil {
		defer known.Close()
	}
	address, err := s.startChat(python, set, server, model)
	if err != nil {
		return nil, err
	}
	if _, err := stream(ctx, address, "/chat/ollama", "warm-up"); err != nil {
		return nil, err
	}
	lines := filepath.Join(dir, "requests.jsonl")
	a, err := s.StartAgent(AgentSettings{Target: address, Precision: set.Precision, Requests: lines})
	if err != nil {
		return nil, err
	}
	sent, err := driveStreams(ctx, address, set)
	if err != nil {
		return nil, err
	}
	f := &StreamFindings{Settings: set, Sent: len(sent)}
	if f.Recording, err = a.Finish(); err != nil {
		return nil, err
	}
	seen, err := readLines[SeenStream](lines)
	if err != nil {
		return nil, fmt.Errorf("read what the agent saw: %w", err)
	}
	f.compare(sent, known, seen)
	return f, nil
}

// SeenStream is what the agent says about one stream: a line of --requests.
type SeenStream struct {
	ID         string    `json:"id"`
	Start      float64   `json:"start"`
	FirstToken float64   `json:"first_token"`
	Forwards   []float64 `json:"forwards"`
	Calls      []struct {
		LLM *struct {
			FirstToken   float64 `json:"first_token"`
			LastToken    float64 `json:"last_token"`
			Chunks       int     `json:"chunks"`
			InputTokens  int     `json:"input_tokens"`
			OutputTokens int     `json:"output_tokens"`
			TokensFrom   string  `json:"tokens_from"`
		} `json:"llm"`
	} `json:"calls"`
}

// startLLM returns the base address of a model server and the name of its model; known is nil for
// the real Ollama.
func (s *Stand) startLLM(real bool) (address, model string, known *llmServer, err error) {
	if !real {
		known, err = newLLMServer()
		if err != nil {
			return "", "", nil, err
		}
		return known.Address, "test", known, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", nil, err
	}
	cache = filepath.Join(cache, "ragscope")
	program := filepath.Join(cache, "ollama-0.6.5", "ollama")
	if _, err := os.Stat(program); err != nil {
		return "", "", nil, fmt.Errorf("%w: Ollama: make demo builds it: %w", ErrMissing, err)
	}
	address, _, err = freePort()
	if err != nil {
		return "", "", nil, err
	}
	p, err := s.start("ollama", false, []string{
		"OLLAMA_HOST=" + address, "OLLAMA_MODELS=" + filepath.Join(cache, "ollama-models"), "HOME=" + filepath.Join(cache, "ollama-home"),
		"OLLAMA_NUM_PARALLEL=1", "OLLAMA_KEEP_ALIVE=-1",
	}, program, "serve")
	if err != nil {
		return "", "", nil, err
	}
	return address, "smollm2", nil, p.await(time.Minute, func() error { return healthy("http://" + address + "/api/version") })
}

func (s *Stand) startChat(python string, set StreamSettings, server, model string) (address string, err error) {
	if err := place(s.Dir, "chat"); err != nil {
		return "", err
	}
	address, port, err := freePort()
	if err != nil {
		return "", err
	}
	p, err := s.start("target", false, []string{"LLM=http://" + server, "MODEL=" + model},
		python, "-m", "uvicorn", "chat:app", "--host", "127.0.0.1", "--port", port, "--loop", cmp.Or(set.Loop, "uvloop"), "--log-level", "warning", "--no-access-log")
	if err != nil {
		return "", err
	}
	return address, p.await(time.Minute, func() error { return healthy("http://" + address + "/health") })
}

func driveStreams(ctx context.Context, address string, set StreamSettings) ([]streamed, error) {
	var plan []streamed
	for i := range set.Each {
		for _, path := range []string{"/chat/openai", "/chat/ollama"} {
			for _, kind := range streamKinds {
				plan = append(plan, streamed{id: fmt.Sprintf("%s-%s-%d", kind, path[6:], i), path: path})
			}
		}
	}
	next := make(chan *streamed, len(plan))
	for i := range plan {
		next <- &plan[i]
	}
	close(next)
	failed := make([]error, max(1, set.At))
	var wg sync.WaitGroup
	for k := range failed {
		wg.Go(func() {
			for x := range next {
				got, err := stream(ctx, address, x.path, x.id)
				if err != nil {
					failed[k] = fmt.Errorf("%s: %w", x.id, err)
					return
				}
				*x = got
			}
		})
	}
	wg.Wait()
	return plan, errors.Join(failed...)
}

var tokenMark = []byte(`"type": "token"`)

// stream asks for one stream and notes when the event of each token was read.
func stream(ctx context.Context, address, path, id string) (streamed, error) {
	x := streamed{id: id, path: path}
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return x, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return x, err
	}
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n", path, address, id)
	x.sent = monotonic()
	if _, err := c.Write(request); err != nil {
		return x, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return x, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return x, fmt.Errorf("%w: %s", errNotReady, res.Status)
	}
	in := bufio.NewReader(res.Body)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(x.tokens) > 0 {
			return x, nil
		}
		if err != nil {
			return x, fmt.Errorf("after %d tokens: %w", len(x.tokens), err)
		}
		if bytes.Contains(line, tokenMark) {
			x.tokens = append(x.tokens, monotonic())
		}
	}
}

// compare joins what both ends know with what the agent saw.
func (f *StreamFindings) compare(sent []streamed, known *llmServer, seen []SeenStream) {
	lines := map[string]*SeenStream{}
	for i := range seen {
		lines[seen[i].ID] = &seen[i]
	}
	var first, arrival, last, forward []float64
	for i := range sent {
		x := &sent[i]
		l := lines[x.id]
		if l == nil || len(l.Calls) != 1 || l.Calls[0].LLM == nil {
			continue
		}
		f.Seen++
		m := l.Calls[0].LLM
		first = append(first, math.Abs((l.FirstToken-l.Start)-(x.tokens[0]-x.sent)))
		if m.Chunks == len(x.tokens) {
			f.Chunks++
		}
		if known == nil {
			if m.TokensFrom == "protocol" && m.InputTokens > 0 && m.OutputTokens >= len(x.tokens) {
				f.Counts++
			}
			continue
		}
		if m.TokensFrom == "protocol" && m.InputTokens == promptTokens && m.OutputTokens == tokensPerAnswer {
			f.Counts++
		}
		at := known.written[x.id]
		arrival = append(arrival, math.Abs(m.FirstToken-at[0]))
		last = append(last, math.Abs(m.LastToken-at[len(at)-1]))
		if len(l.Forwards) == tokensPerAnswer && len(x.tokens) == tokensPerAnswer {
			knows, sees := 0.0, 0.0
			for k := range x.tokens {
				knows += (x.tokens[k] - at[k]) / tokensPerAnswer
				sees += l.Forwards[k] / tokensPerAnswer
			}
			forward = append(forward, math.Abs(knows-sees))
			f.Known += knows
		}
	}
	if len(forward) > 0 {
		f.Known /= float64(len(forward))
	}
	f.First, f.Arrival, f.Last, f.Forward = spread(first), spread(arrival), spread(last), spread(forward)
}

func spread(errs []float64) Spread {
	slices.Sort(errs)
	return Spread{at(errs, 0.5), at(errs, 0.9), at(errs, 0.99), at(errs, 1)}
}
