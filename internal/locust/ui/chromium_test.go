package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tab is a page in a headless Chromium, driven by the DevTools protocol over a pair of pipes
// (--remote-debugging-pipe: JSON messages that end with a zero byte).
type tab struct {
	t       *testing.T
	out     *os.File
	mu      sync.Mutex
	id      int
	waits   map[int]chan reply
	session string
	console []string // what the page complained about
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

func openTab(t *testing.T) *tab {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	toRead, toWrite, err := os.Pipe() // the browser reads from 3 …
	if err != nil {
		t.Fatal(err)
	}
	fromRead, fromWrite, err := os.Pipe() // … and writes to 4
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{toRead, fromWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	toRead.Close()
	fromWrite.Close()
	b := &tab{t: t, out: toWrite, waits: map[int]chan reply{}}
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.listen(fromRead)
	}()
	t.Cleanup(func() {
		toWrite.Close() // the browser ends with its pipe
		<-over
		_ = cmd.Wait()
		cancel()
		// Its helpers outlive it, and write into its folder. Who is dead may stay in the group where nobody waits for orphans.
		for end := time.Now().Add(5 * time.Second); syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		fromRead.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Runtime.enable", nil, nil)
	b.call("Log.enable", nil, nil)
	b.call("Page.enable", nil, nil)
	return b
}

// listen hands answers to who waits for them, and keeps what the page complains about.
func (b *tab) listen(from *os.File) {
	lines := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			for _, w := range b.waits {
				close(w)
			}
			b.waits = nil
			b.mu.Unlock()
			return
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			reply
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		switch m.Method {
		case "Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled":
			b.console = append(b.console, string(m.Params))
		}
		if w := b.waits[m.ID]; w != nil {
			w <- m.reply
			delete(b.waits, m.ID)
		}
		b.mu.Unlock()
	}
}

func (b *tab) call(method string, params, into any) {
	b.t.Helper()
	b.mu.Lock()
	if b.waits == nil {
		b.mu.Unlock()
		b.t.Fatal("the browser has ended")
	}
	b.id++
	wait := make(chan reply, 1)
	b.waits[b.id] = wait
	message := map[string]any{"id": b.id, "method": method}
	b.mu.Unlock()
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	r, ok := <-wait
	switch {
	case !ok:
		b.t.Fatalf("%s: the browser has ended", method)
	case r.Error != nil:
		b.t.Fatalf("%s: %s", method, r.Error.Message)
	case into != nil:
		if err := json.Unmarshal(r.Result, into); err != nil {
			b.t.Fatal(err)
		}
	}
}

// eval runs JavaScript in the page and returns its value.
func (b *tab) eval(script string) any {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, r.ExceptionDetails.Exception.Description)
	}
	return r.Result.Value
}

// until waits for an expression to be true.
func (b *tab) until(script string) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); b.eval(script) != true; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never true: %s\n%v", script, b.eval("document.body.innerText"))
		}
	}
}

// show goes to an address in a window of this width.
func (b *tab) show(address string, width int) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call("Page.navigate", map[string]any{"url": address}, nil)
	b.until(fmt.Sprintf("document.readyState === 'complete' && location.href.startsWith(%q)", address))
}

// scheme has the page shown light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}}}, nil)
}
