package report

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

// components adds the table of a chat request's parts for each chat endpoint.
func (b *builder) components(s *Section) {
	found := false
	for _, e := range busiest(b.whole) {
		if strings.Contains(e.Endpoint, "chat") {
			found = true
			s.table(componentTable(e))
		}
	}
	if !found {
		s.text("Not measured: the recordings hold no chat endpoint with stages.")
	}
}

// sums is the calls of an endpoint that belong to one component.
type sums struct {
	count          int64
	latency, first recording.Dist
}

func callSums(e *recording.Endpoint, belongs func(recording.Call) bool) (s sums) {
	for _, c := range e.Calls {
		if belongs(c) {
			s.count += c.Count
			s.latency.Merge(c.Latency)
			s.first.Merge(c.FirstByte)
		}
	}
	return s
}

func embedding(c recording.Call) bool {
	return strings.Contains(strings.ToLower(c.Operation), "embed")
}

func to(system string) func(recording.Call) bool {
	return func(c recording.Call) bool { return strings.HasPrefix(c.Peer, system) && !embedding(c) }
}

// componentTable splits an endpoint's requests into the components of a RAG answer. Calls are
// shown by their own duration, so parallel calls overlap; the stages at the end do not.
func componentTable(e *recording.Endpoint) *Table {
	t := &Table{Caption: e.Endpoint, Columns: columns("Component", "Mean a request,Share,Calls a request,Call p50,Call p95")}
	n := float64(e.Requests)
	share := func(seconds float64) string { return recording.Share(ratio(seconds, e.Latency.Sum)) }
	calls := func(title, mark string, c sums) {
		if c.count == 0 {
			t.row(Cell{title, mark}, Cell{missing, "none"}, Cell{Text: "–"}, Cell{Text: "0"}, Cell{Text: "–"}, Cell{Text: "–"})
			return
		}
		t.row(Cell{title, mark}, Cell{Text: recording.Seconds(ratio(c.latency.Sum, n))}, Cell{Text: share(c.latency.Sum)},
			Cell{Text: fmt.Sprintf("%.2f", ratio(float64(c.count), n))}, Cell{Text: quantile(c.latency, .5)}, Cell{Text: quantile(c.latency, .95)})
	}
	calls("Retrieval (embedding, Qdrant, Neo4j)", "", callSums(e, func(c recording.Call) bool {
		return embedding(c) || to("qdrant")(c) || to("neo4j")(c)
	}))
	t.unmix()
	calls("Embedding", "sub", callSums(e, embedding))
	calls("Qdrant", "sub", callSums(e, to("qdrant")))
	calls("Neo4j", "sub", callSums(e, to("neo4j")))
	calls("Redis", "", callSums(e, to("redis")))
	llmRows(t, e)
	followed, basis := e.Basis()
	stage := func(title, mark string, names ...string) {
		seconds := 0.0
		for _, name := range names {
			seconds += stageSum(e, name)
		}
		t.row(Cell{title, mark}, Cell{Text: recording.Seconds(ratio(seconds, float64(followed)))}, Cell{Text: recording.Share(ratio(seconds, basis))}, Cell{}, Cell{}, Cell{})
	}
	stage("The API's own CPU", "", request.OnCPU)
	stage("Waiting inside the API", "", waiting...)
	for _, name := range waiting {
		if stageSum(e, name) > 0 {
			stage(name, "sub", name)
		}
	}
	stage("Unexplained", "", request.Unexplained)
	t.row(Cell{"Total", "total"}, Cell{recording.Seconds(e.Latency.Mean()), "total"}, Cell{"100 %", "total"}, Cell{"", "total"}, Cell{quantile(e.Latency, .5), "total"}, Cell{quantile(e.Latency, .95), "total"})
	t.Note = "Calls are shown by their own duration, from the last byte sent to the last byte arrived"
	if e.Overlapped > 0 {
		t.Note += fmt.Sprintf("; %s a request of them ran behind a longer parallel call, so the shares may add up to more than 100 %%", recording.Seconds(ratio(e.Overlapped, float64(followed))))
	}
	if e.Followed != nil {
		t.Note += fmt.Sprintf("; the API's own CPU, waiting and unexplained are of the %d of %d requests that were followed through every execution context", followed, e.Requests)
	}
	t.Note += "."
	return t
}

// unmix empties the last row's percentiles: those of different kinds of calls together mean
// nothing.
func (t *Table) unmix() {
	row := t.Rows[len(t.Rows)-1]
	for i := 4; i < len(row); i++ {
		row[i] = Cell{}
	}
}

// llmRows splits the language model's time at the first token.
func llmRows(t *Table, e *recording.Endpoint) {
	n := float64(e.Requests)
	l := e.LLM
	if l == nil || l.TimeToFirstToken.Count == 0 {
		for _, title := range []string{"LLM, to the first token", "LLM, generation"} {
			t.row(Cell{Text: title}, Cell{missing, "none"}, Cell{Text: "–"}, Cell{Text: "–"}, Cell{Text: "–"}, Cell{Text: "–"})
		}
		return
	}
	row := func(title string, d recording.Dist, per float64, pace string) {
		t.row(Cell{Text: title}, Cell{Text: recording.Seconds(ratio(d.Sum, n))}, Cell{Text: recording.Share(ratio(d.Sum, e.Latency.Sum))},
			Cell{Text: fmt.Sprintf("%.2f", per)}, Cell{Text: quantile(d, .5) + pace}, Cell{Text: quantile(d, .95) + pace})
	}
	row("LLM, to the first token", l.TimeToFirstToken, ratio(float64(l.Streams), n), "")
	row("LLM, generation", l.TimePerToken, ratio(float64(l.Streams), n), " / token")
	if l.ForwardDelay.Count > 0 {
		t.row(Cell{"a token inside the API, until it is sent on", "sub"}, Cell{}, Cell{}, Cell{}, Cell{Text: quantile(l.ForwardDelay, .5)}, Cell{Text: quantile(l.ForwardDelay, .95)})
	}
}
