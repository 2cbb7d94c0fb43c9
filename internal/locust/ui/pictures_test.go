package ui

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Pictures of the page in each of its states, in a wide and a narrow window, light and dark, to be looked at:
//
//	go test ./internal/locust/ui -run TestPictures -count=1 -pictures DIR [-pictures-host URL -pictures-agent URL]
var (
	pictures      = flag.String("pictures", "", "put pictures of the page into this folder")
	picturesHost  = flag.String("pictures-host", "", "with runs against this host; else against one of its own")
	picturesAgent = flag.String("pictures-agent", "", "and with this agent")
)

const pictured = `
name: Suite
think_time: 50ms
tasks:
  - {name: a, weight: 3, request: {path: /a}}
  - {name: '/api/v1/retrieval/search [hybrid, with a long name]', weight: 2, request: {method: POST, path: /api/v1/retrieval/search, json: {query: x}}}
  - {name: bad, weight: 1, request: {path: /bad}}
`

func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("pictures for people: asked for with -pictures")
	}
	host := *picturesHost
	if host == "" {
		host = target(t)
	}
	_, base := served(t, pictured, host, func(c *Config) { c.Agent = *picturesAgent })
	_, closed := served(t, pictured, host, func(c *Config) { c.Login = &Login{User: "me", Password: "secret"} })
	b := openTab(t)
	b.picture("login", closed+"/login")
	b.show(closed+"/login", 1280)
	b.eval(`document.querySelector("[name=username]").value = "me"; document.querySelector("[name=password]").value = "wrong"; document.querySelector("button").click()`)
	b.until(`document.querySelector(".notice") !== null`)
	b.pictureNow("login-wrong")
	b.picture("form", base+"/")
	b.show(base+"/", 1280)
	b.eval(`{const f = document.forms.start.elements; f.user_count.value = 30; f.spawn_rate.value = 2; f.run_time.value = "1m"} document.querySelector("#start button").click()`)
	b.until(`document.querySelectorAll("#charts canvas").length === 4`)
	b.picture("spawning", base+"/")
	b.eval(`fetch("swarm", {method: "POST", body: new URLSearchParams({user_count: 30, spawn_rate: 30})})`)
	time.Sleep(8 * time.Second)
	b.picture("running", base+"/")
	b.picture("edit", base+"/", `document.getElementById("change").click()`)
	b.show(base+"/", 1280)
	b.eval(`document.getElementById("stop").click()`)
	b.until(`document.getElementById("pulse").textContent === "stopped"`)
	b.picture("stopped", base+"/")
	b.picture("again", base+"/", `document.getElementById("new").click()`, `document.getElementById("log").open = true`)
}

// picture keeps what an address shows after the scripts, in both widths and colour schemes.
func (b *tab) picture(name, address string, scripts ...string) {
	b.t.Helper()
	for _, width := range []int{1280, 390} {
		b.show(address, width)
		time.Sleep(1500 * time.Millisecond) // numbers, and charts
		for _, s := range scripts {
			b.eval(s)
		}
		b.narrow(name)
		b.pictureNow(fmt.Sprintf("%s-%d", name, width))
	}
}

func (b *tab) pictureNow(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		time.Sleep(300 * time.Millisecond)
		var shot struct{ Data string }
		b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
		image, err := base64.StdEncoding.DecodeString(shot.Data)
		if err == nil {
			err = os.WriteFile(filepath.Join(*pictures, name+"-"+scheme+".png"), image, 0o644)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}
