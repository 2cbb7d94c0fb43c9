package ui

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A person's way through the page: fill the form, see numbers move, change the load, download
// the table, stop. Nothing is loaded from elsewhere, and nothing is wider than a phone.
func TestInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Chromium")
	}
	t.Parallel()
	host := target(t)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<section><h2>Where the time goes</h2><script>document.title = "hijacked"</script><p onclick="0">%s</p></section>`, r.URL)
	}))
	defer agent.Close()
	_, base := served(t, suite, "", func(c *Config) { c.Agent = agent.URL })
	b := openTab(t)
	b.show(base+"/", 390)
	b.narrow("the form")
	t.Logf("the page was loaded in %v ms", b.eval("performance.getEntriesByType('navigation')[0].loadEventEnd"))
	if got := b.eval(`document.forms.start.reportValidity()`); got != false {
		t.Error("the form is content without a host")
	}
	b.eval(fmt.Sprintf(`{const f = document.forms.start.elements; f.host.value = %q; f.user_count.value = 3; f.spawn_rate.value = 50; f.think_time.value = "20ms"}`, host))
	b.eval(`document.querySelector("#start button").click()`)
	requests := `Number(document.querySelector(".both tr.total td:nth-child(2)")?.textContent.replace(/\D/g, "") || 0)`
	b.until(requests + " > 5")
	first := b.eval(requests).(float64)
	b.until(fmt.Sprintf("%s > %g", requests, first))
	b.until(`document.getElementById("pulse").textContent === "running"`)
	b.until(`document.querySelectorAll("#charts canvas").length === 4 && document.querySelector("#failures td.text")?.textContent.includes("500 Server Error")`)
	b.until(painted)
	const marker = `getComputedStyle(document.querySelector("#rps .u-legend tr:nth-child(2) .u-marker")).borderTopColor`
	light := b.eval(marker)
	b.scheme("dark")
	b.until(fmt.Sprintf("%s !== %q", marker, light)) // legends, too
	b.until(painted)
	if got := b.eval(`document.querySelectorAll("#charts canvas").length`); got != 4.0 {
		t.Errorf("%v charts in the dark", got)
	}
	b.scheme("light")
	b.until(`document.querySelector("#waits h2")?.textContent === "Where the time goes" && document.querySelector("#waits p").textContent === "/?part=waits"`)
	b.narrow("a run")

	b.eval(`document.getElementById("change").click(); document.forms.editForm.elements.user_count.value = 5; document.querySelector("#editForm .primary").click()`)
	b.until(`[...document.querySelectorAll(".tile")].some(t => t.innerText.startsWith("Users\n5\n"))`)

	dir := t.TempDir()
	b.session = b.downloads(dir)
	b.eval(`document.querySelector("a[href='stats/requests/csv']").click()`)
	text := downloaded(t, dir)
	if !strings.HasPrefix(text, "Type,Name,Request Count,") || !strings.Contains(text, "\r\nGET,a,") || !strings.Contains(text, "\r\n,Aggregated,") {
		t.Errorf("downloaded: %s", text)
	}

	b.eval(`document.getElementById("stop").click()`)
	b.until(`document.getElementById("pulse").textContent === "stopped" && !document.getElementById("new").hidden`)
	done := b.eval(requests)
	b.show(base+"/", 1280)
	b.until(fmt.Sprintf("%s === %v && document.querySelectorAll('#charts canvas').length === 4", requests, done))
	if got := b.eval(`performance.getEntriesByType("resource").filter(r => !r.name.startsWith(location.origin)).length`); got != 0.0 {
		t.Errorf("%v things came from elsewhere", got)
	}
	if b.eval("document.title") != "Suite · ragscope loader" {
		t.Error("a script in the agent's part was run")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.console {
		if !strings.Contains(c, "Content Security Policy") { // of the agent's part above
			t.Errorf("the page complained: %s", c)
		}
	}
}

// painted says that every chart has pixels beside its background.
const painted = `[...document.querySelectorAll("#charts canvas")].every(c => {
	const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
	for (let i = 3; i < d.length; i += 4) if (d[i] > 200) return true;
	return false;
})`

// narrow fails when the page is wider than the window.
func (b *tab) narrow(what string) {
	b.t.Helper()
	if got := b.eval("document.documentElement.scrollWidth > innerWidth"); got != false {
		b.t.Errorf("%s does not fit into %v pixels: it is %v wide", what, b.eval("innerWidth"), b.eval("document.documentElement.scrollWidth"))
	}
}

// downloads lets the browser keep files in a folder.
func (b *tab) downloads(dir string) (session string) {
	session, b.session = b.session, ""
	b.call("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": dir}, nil)
	return session
}

func downloaded(t *testing.T, dir string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(dir, "*.csv"))
		if len(files) > 0 {
			text, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	t.Fatal("nothing was downloaded")
	return ""
}
