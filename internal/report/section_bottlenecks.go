package report

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/diagnose"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// kinds of bottlenecks in words.
var kinds = map[string]string{
	diagnose.KindPool: "waiting for a connection", diagnose.KindDependency: "waiting for a dependency", diagnose.KindLLM: "waiting for the language model",
	diagnose.KindCPU: "CPU", diagnose.KindEventLoop: "waiting for the event loop", diagnose.KindBlocked: "sleeping in blocking calls", diagnose.KindQueue: "queueing at the edge", diagnose.KindUnexplained: "unexplained",
}

func kindName(kind string) string {
	if n, ok := kinds[kind]; ok {
		return n
	}
	return kind
}

// topCause names the largest cause of waiting of one scenario.
func topCause(r *recording.Recording) string {
	found := diagnose.Rank(r)
	if len(found) == 0 {
		return missing
	}
	return fmt.Sprintf("%s, %s", found[0].Where, recording.Share(found[0].Share))
}

func (b *builder) bottlenecks() Section {
	s := Section{Number: 5, ID: "bottlenecks", Title: "Bottleneck analysis", Short: "Bottlenecks"}
	s.text("Every second of every request belongs to exactly one stage. A cause ranks by the seconds that users waited for it, summed over all endpoints. " +
		"P0: at least 30 % of all waiting, and an endpoint that waits misses its target or fails; P1: at least 10 %; P2: at least 3 %.")
	if top := busiest(b.whole); len(top) > 0 {
		for _, p := range stagePictures(top) {
			s.picture(p)
		}
	} else {
		s.text("Stages: not measured, because the recordings hold none.")
	}
	for i := range b.whole.Bottlenecks {
		s.Blocks = append(s.Blocks, Block{Finding: &b.whole.Bottlenecks[i]})
	}
	s.heading("Where the time of a chat request goes")
	b.components(&s)
	s.heading("Connection pools")
	b.pools(&s)
	b.eventLoop(&s)
	s.heading("CPU")
	s.table(cpuTable(b.whole))
	b.flames(&s)
	s.heading("Sleeping threads")
	b.sleeps(&s)
	return s
}

func cpuTable(r *recording.Recording) *Table {
	t := &Table{Caption: "CPU of the target by endpoint", Columns: columns("Endpoint", "Requests followed,CPU,CPU a request,Off CPU a request,Allocated a request"),
		Note: "Off CPU: in run_queue, gil_wait and blocked."}
	for _, e := range busiest(r) {
		alloc := missing
		if e.AllocatedBytes != nil && e.Requests > 0 {
			alloc = recording.Bytes(float64(*e.AllocatedBytes) / float64(e.Requests))
		}
		followed, _ := e.Basis()
		n := float64(followed)
		t.row(plain(e.Endpoint, recording.Number(followed), recording.Seconds(e.CPUSeconds), recording.Seconds(ratio(e.CPUSeconds, n)), recording.Seconds(ratio(e.OffCPUSeconds, n)), alloc)...)
	}
	return t
}

func (b *builder) pools(s *Section) {
	if len(b.whole.Pools) == 0 {
		s.text("Pools: not measured, because the recordings hold none.")
		return
	}
	t := &Table{Caption: "Use and wait by pool and endpoint", Columns: columns("Pool,Endpoint", "In use / limit,Waiting max,Acquired,Waited,Wait p50,p95,p99"),
		Note: "Limit: as seen in practice, in use while others waited; “–” where it was never reached. Wait: per acquisition that waited."}
	for i := range b.whole.Pools {
		p := &b.whole.Pools[i]
		use := fmt.Sprintf("%d / %d", p.InUseMax, p.Limit)
		if p.Limit == 0 {
			use = fmt.Sprintf("%d / –", p.InUseMax)
		}
		if len(p.Waits) == 0 {
			t.row(plain(poolName(p), "–", use, fmt.Sprint(p.WaitersMax), "–", "–", "–", "–", "–")...)
		}
		for j, w := range p.Waits {
			row := plain(poolName(p), w.Endpoint, use, fmt.Sprint(p.WaitersMax), recording.Number(w.Acquisitions), recording.Number(w.Waited), waited(w, .5), waited(w, .95), waited(w, .99))
			if j > 0 {
				row[0].Text, row[2].Text, row[3].Text = "", "", ""
			}
			t.row(row...)
		}
	}
	s.table(t)
	for i := range b.whole.Pools {
		for _, text := range troubles(&b.whole.Pools[i]) {
			s.text(text)
		}
	}
	if p := poolPicture(b.whole, b.in.Scenarios); p != nil {
		s.picture(p)
	}
}

// troubles are a pool's uncertain waits, time-outs and leaks in words.
func troubles(p *recording.Pool) (out []string) {
	for _, w := range p.Waits {
		if words := w.UnsureWords(); words != "" {
			out = append(out, fmt.Sprintf("%s, %s: %s", poolName(p), w.Endpoint, words))
		}
		if w.TimedOut > 0 {
			out = append(out, fmt.Sprintf("%s: %s likely gave up waiting for a connection %s times.", poolName(p), w.Endpoint, recording.Number(w.TimedOut)))
		}
	}
	for _, l := range p.Leaks {
		out = append(out, fmt.Sprintf("%s: %s likely never gave back a connection that it took for %s.", poolName(p), l.Endpoint, l.Operation))
	}
	return out
}

func poolName(p *recording.Pool) string {
	n := peerName(p.Peer) + " " + p.Address
	if p.Unit != "" && p.Unit != "connections" {
		n += " (" + p.Unit + ")"
	}
	return n
}

// waited writes a percentile of the waits; “–” where none waited.
func waited(w recording.PoolWait, q float64) string {
	if w.Waited == 0 {
		return "–"
	}
	return recording.Seconds(w.Quantile(q))
}

func (b *builder) recommendations() Section {
	s := Section{Number: 6, ID: "recommendations", Title: "Top three recommendations", Short: "Recommendations"}
	t := &Table{Columns: columns("Priority,What to do,Why,Expected gain", "")}
	for _, f := range b.whole.Bottlenecks {
		if len(t.Rows) == 3 {
			break
		}
		if f.Kind == diagnose.KindUnexplained {
			continue // there is nothing to mend before it is explained
		}
		gain := fmt.Sprintf("Not predicted yet. At most the %s (%s) that users waited for it.", recording.Seconds(f.WaitedSeconds), recording.Share(f.Share))
		if p := f.Prediction; p != nil {
			gain = fmt.Sprintf("%s: p95 of %s from %s to %s (%s to %s).", p.Change, p.Endpoint, recording.Seconds(p.P95Before), recording.Seconds(p.P95After), recording.Seconds(p.Low), recording.Seconds(p.High))
		}
		t.row(Cell{f.Priority, strings.ToLower(f.Priority)}, Cell{Text: f.Recommendation}, Cell{Text: f.Where + ". " + f.Evidence[0]}, Cell{Text: gain})
	}
	if len(t.Rows) == 0 {
		s.text("There is nothing to recommend: no cause of waiting reaches 3 %.")
		return s
	}
	s.table(t)
	return s
}

// waiting are the stages in which a request waits inside the target.
var waiting = []string{request.AcceptQueue, request.ReceiveQueue, request.RunQueue, request.GILWait, request.Blocked, request.PoolWait, request.Connect, request.LoopWait, request.Send}
