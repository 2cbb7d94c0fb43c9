package web

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	maxWindows = 16
	// A loader that was killed leaves its window open. One as old as this makes room when room
	// is needed.
	abandoned = time.Hour

	maxName = 200     // bytes
	maxBody = 1 << 16 // bytes
)

// windows holds those that are open.
type windows struct {
	now func() time.Time

	mu   sync.Mutex
	open map[string]openWindow
}

type openWindow struct {
	window Window
	since  time.Time
}

func newWindows() *windows {
	return &windows{now: time.Now, open: map[string]openWindow{}}
}

var errTooMany = fmt.Errorf("%d windows are open, which is the limit: close one with POST /api/v1/windows/{id}/close", maxWindows)

// add opens a window and returns its id. The lock is held meanwhile: a window is opened a few
// times a day, and the limit must hold.
func (ws *windows) add(open func() (Window, error)) (string, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.open) >= maxWindows {
		for id, o := range ws.open {
			if ws.now().Sub(o.since) >= abandoned {
				o.window.Discard()
				delete(ws.open, id)
			}
		}
	}
	if len(ws.open) >= maxWindows {
		return "", errTooMany
	}
	w, err := open()
	if err != nil {
		return "", err
	}
	id := rand.Text()
	ws.open[id] = openWindow{w, ws.now()}
	return id, nil
}

// take removes a window; nil when there is none of this id.
func (ws *windows) take(id string) Window {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	o, ok := ws.open[id]
	if !ok {
		return nil
	}
	delete(ws.open, id)
	return o.window
}

func (s *server) openWindow(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Name string `json:"name"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&ask)
	if err != nil && !errors.Is(err, io.EOF) { // no body at all is a window without a name
		fail(w, http.StatusBadRequest, `the body must be {"name": "a name"}: `+err.Error())
		return
	}
	if len(ask.Name) > maxName {
		fail(w, http.StatusBadRequest, fmt.Sprintf("the name has %d bytes, at most %d are allowed", len(ask.Name), maxName))
		return
	}
	if err := s.src.Ready(); err != nil {
		fail(w, http.StatusServiceUnavailable, "a window needs a target: "+err.Error())
		return
	}
	id, err := s.windows.add(func() (Window, error) { return s.src.OpenWindow(ask.Name) })
	switch {
	case errors.Is(err, errTooMany):
		fail(w, http.StatusTooManyRequests, err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, "open a window: "+err.Error())
	default:
		reply(w, http.StatusCreated, map[string]string{"id": id})
	}
}

func (s *server) closeWindow(w http.ResponseWriter, r *http.Request) {
	open := s.windows.take(r.PathValue("id"))
	if open == nil {
		fail(w, http.StatusNotFound, "no open window has this id: it was closed already, or the agent was started anew since")
		return
	}
	rec, err := open.Close()
	if err != nil {
		fail(w, http.StatusInternalServerError, "close the window: "+err.Error())
		return
	}
	reply(w, http.StatusOK, rec)
}
