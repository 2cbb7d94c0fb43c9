package diagnose

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/recording"
)

// A language model's answer is late for one of two reasons. It queues: the first token comes
// later and later under load while each further token takes as long as before. Or it
// generates slowly: the gaps between tokens grow as well, or are simply long.
const (
	queueGrowth = 2.0 // first token at least so many times later …
	steadyPace  = 1.5 // … while a token takes at most so many times longer
)

// explainLLM tells queueing in the LLM server from slow generation.
func explainLLM(w *wait, f facts) (where string, evidence []string, recommendation string) {
	where = place(w.peer, f.rec)
	first, pace, tokens, streams := tokenTimes(f.rec)
	if streams == 0 || first.Count == 0 {
		ops, _ := callsTo(f.rec, w.peer)
		for _, o := range ops {
			evidence = append(evidence, fmt.Sprintf("%s: %s, p50 %s, p95 %s.", o.operation, plural(o.count, "call"),
				recording.Seconds(o.latency.Quantile(.5)), recording.Seconds(o.latency.Quantile(.95))))
		}
		return where, append(evidence, "Token arrivals were not measured, so queueing and generating cannot be told apart."),
			"Stream the LLM's answers, so that the time to the first token can be measured and users see text sooner."
	}
	evidence = append(evidence, fmt.Sprintf("Time to first token: p50 %s, p95 %s over %s.", recording.Seconds(first.Quantile(.5)), recording.Seconds(first.Quantile(.95)), plural(first.Count, "stream")))
	if pace.Count > 0 {
		evidence = append(evidence, fmt.Sprintf("Time per token: p50 %s, p95 %s (%s output tokens).", recording.Seconds(pace.Quantile(.5)), recording.Seconds(pace.Quantile(.95)), recording.Number(tokens)))
		evidence = append(evidence, fmt.Sprintf("Waiting for first tokens took %s, generating %s.", recording.Seconds(first.Sum), recording.Seconds(pace.Sum)))
	}
	if e := embeddings(f.rec, w.peer); e.count > 0 {
		evidence = append(evidence, fmt.Sprintf("Embeddings at the same server: %s, p50 %s, p95 %s.", plural(e.count, "call"), recording.Seconds(e.latency.Quantile(.5)), recording.Seconds(e.latency.Quantile(.95))))
	}
	queued, more := queues(f, first, pace)
	evidence = append(evidence, more...)
	return where, evidence, llmAdvice(queued, first, pace)
}

// tokenTimes sums the streams of all endpoints.
func tokenTimes(rec *recording.Recording) (first, pace recording.Dist, tokens, streams int64) {
	for i := range rec.Endpoints {
		if l := rec.Endpoints[i].LLM; l != nil {
			first.Merge(l.TimeToFirstToken)
			pace.Merge(l.TimePerToken)
			tokens += l.OutputTokens
			streams += l.Streams
		}
	}
	return first, pace, tokens, streams
}

func embeddings(rec *recording.Recording, peer string) (sum called) {
	ops, _ := callsTo(rec, peer)
	for _, o := range ops {
		if isEmbedding(o.operation) {
			sum.count += o.count
			sum.latency.Merge(o.latency)
		}
	}
	return sum
}

// queues decides by the change from the lowest to the highest load; where there is only one
// load, by the spread within it: streams that queue start late but then flow like the others.
func queues(f facts, first, pace recording.Dist) (bool, []string) {
	firstText, firstGrew := f.change("the p50 time to first token", func(r *recording.Recording) (float64, bool) {
		d, _, _, _ := tokenTimes(r)
		return d.Quantile(.5), d.Count > 0
	})
	paceText, paceGrew := f.change("the p50 time per token", func(r *recording.Recording) (float64, bool) {
		_, d, _, _ := tokenTimes(r)
		return d.Quantile(.5), d.Count > 0
	})
	if firstText != "" && paceText != "" {
		return firstGrew >= queueGrowth && paceGrew <= steadyPace, []string{firstText, paceText}
	}
	spread := first.Quantile(.95) >= queueGrowth*first.Quantile(.5)
	return pace.Count > 0 && spread && pace.Quantile(.95) <= steadyPace*pace.Quantile(.5), nil
}

func llmAdvice(queued bool, first, pace recording.Dist) string {
	switch {
	case queued:
		return "Requests queue inside the LLM server: the first token is late while tokens then flow at their usual pace. Raise its parallel slots (OLLAMA_NUM_PARALLEL) if its CPU or GPU has room, else add an instance and spread the load; shorten prompts, since they are read before the first token."
	case pace.Sum > first.Sum:
		return "Generation itself takes the time: cap the output tokens, use a smaller or more strongly quantised model, or faster hardware; cache answers to repeated queries."
	default:
		return "Reading the prompt takes the time: shorten the context that goes into the prompt, keep its beginning equal so that the server's prompt cache applies, and cache answers to repeated queries."
	}
}
