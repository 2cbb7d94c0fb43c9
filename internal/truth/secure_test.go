package truth

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestSecureShort holds the agent to what applications say that speak TLS to both sides, on an event loop
// with sessions in memory and on threads with sessions on sockets.
func TestSecureShort(t *testing.T) {
	for _, server := range []string{"uvicorn, asyncio", "gunicorn gthread"} {
		t.Run(server, func(t *testing.T) {
			r, rec, err := RunSecure(t.Context(), t.TempDir(), server, 8, 150)
			if errors.Is(err, ErrMissing) {
				t.Skipf("SKIPPED, THE AGENT IS NOT HELD TO THE TRUTH: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("sent %d, failed %d, seen %d, calls %+v, wait %+v, unexplained %.3f of %.3f s, losses %v", r.Sent, r.Failed, r.Seen, *r.Calls, *r.Wait, r.Unexplained, r.Seconds, r.Losses)
			if r.Failed > 0 || r.Seen != r.Sent || r.Twice > 0 || r.Incomplete > 0 || r.Sums > 0 {
				t.Errorf("of %d requests %d failed, %d were seen, %d twice, %d not whole, %d with stages that do not sum to their total", r.Sent, r.Failed, r.Seen, r.Twice, r.Incomplete, r.Sums)
			}
			if loop := strings.HasPrefix(server, "uvicorn"); r.Calls.Made == 0 || loop && r.Calls.Linked != r.Calls.Made || r.Calls.Wrong > 0 {
				t.Errorf("%d of %d calls are linked, %d to a wrong request", r.Calls.Linked, r.Calls.Made, r.Calls.Wrong)
			}
			if r.Losses["kernel: TLS data whose connection is not known"] > 0 || r.Losses["inbound: "+unreadTLS]+r.Losses["outbound: "+unreadTLS] > 0 {
				t.Errorf("losses %v", r.Losses)
			}
			text, err := json.Marshal(rec)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "sk-not-to-be-recorded") {
				t.Error("the recording has the key of a peer in it")
			}
		})
	}
}

const unreadTLS = "exchange inside TLS that could not be read"
