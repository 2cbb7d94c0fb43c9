package memory

import (
	"fmt"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Judge says whether memory grows, from the readings of a stretch and the requests that were
// answered in it, second by second; without any it goes by the time.
//
// The time in which a crowd of requests grew is left out (calm), and the warm-up (afterWarmUp). Of the rest the slope is
// estimated with a 95 % confidence interval (regress), apart from what goes up and down with the requests under way. "leak suspected" needs 90 readings or more, growth of which the interval makes
// enough sure, over the time as well as over the requests, and growth that goes on: where the second
// half grows less than half as fast as the first it may be a cache that fills, and memory is
// "growing", as it is where it is less sure. "stable" needs an interval that rules growth out that would matter. Else the window is "too short to say".
func Judge(ticks []recording.MemoryTick, timeline []recording.Tick) recording.MemoryGrowth {
	if len(ticks) < minTicks {
		return tooShort("%s of memory, %d are needed", count(len(ticks), "reading"), minTicks)
	}
	all := newStretch(ticks, timeline)
	if all.len() < minTicks && all.byRequests {
		return tooShort("requests came for only %s, %s are needed", clock(span(all.seconds)), clock(minTicks))
	}
	if all.len() < minTicks || span(all.seconds) <= 0 {
		return tooShort("the clock of the readings does not run")
	}
	calm, crowd := all.calm()
	if calm.len() < minTicks {
		return all.thin().withCrowd(crowd)
	}
	g := calm.thin().settled()
	if left := crowd.beside(&g); left != "" {
		g.Reason += left
		if g.Trend != nil {
			g.Trend.Crowded = crowd.seconds
		}
	}
	return g
}

// settled gives the verdict on a stretch that may begin with a warm-up.
func (s stretch) settled() recording.MemoryGrowth {
	all := s
	warmUp := ""
	if s = all.afterWarmUp(); s.len() < all.len() {
		warmUp = fmt.Sprintf("the first %s, in which it grew by %s", clock(s.seconds[0]-all.seconds[0]), signed(s.bytes[0]-all.bytes[0]))
	}
	if s.len() < minTicks {
		return tooShort("the warm-up took %s, and the %s since are not enough", strings.TrimPrefix(warmUp, "the first "), clock(span(s.seconds)))
	}
	return s.judge(warmUp)
}

// withCrowd gives the verdict where a crowd of requests grew nearly all the time.
func (s stretch) withCrowd(c crowding) recording.MemoryGrowth {
	s.active = make([]float64, s.len()) // it cannot be told from the trend
	g := s.judge("")
	switch {
	case g.Verdict == LeakSuspected || g.Verdict == Growing || g.Verdict == TooShort && c.bytes >= minLeak:
		g.Verdict = Growing
		g.Reason = fmt.Sprintf("it grew by %s while more and more requests were under way, up to %s at a time: an allocator keeps what a crowd needs; to tell that from a leak hold the load for %s",
			recording.Bytes(s.bytes[s.len()-1]-s.bytes[0]), recording.Number(int64(c.most)), clock(minLeakTicks))
	case g.Verdict == TooShort:
		g.Reason = fmt.Sprintf("for all but %s more and more requests were under way, up to %s at a time; hold the load", clock(span(s.seconds)-c.seconds), recording.Number(int64(c.most)))
	}
	return g
}

func tooShort(format string, args ...any) recording.MemoryGrowth {
	return recording.MemoryGrowth{Verdict: TooShort, Reason: fmt.Sprintf(format, args...)}
}

// judge gives the verdict on a stretch without its warm-up.
func (s stretch) judge(warmUp string) recording.MemoryGrowth {
	g := recording.MemoryGrowth{GrowthBytesPerSecond: s.slope(s.seconds)}
	e := s.slope(s.axis())
	if g.GrowthBytesPerSecond == nil || e == nil {
		return tooShort("the readings do not differ in time")
	}
	if s.byRequests {
		g.GrowthPerThousand = &recording.Estimate{Estimate: 1000 * e.Estimate, Low: 1000 * e.Low, High: 1000 * e.High}
	}
	g.Trend = s.trend(g.GrowthBytesPerSecond.Estimate)
	g.Trend.WarmUp = warmUp
	length := span(s.axis())
	matters := negligible * meanOf(s.bytes)
	if s.byRequests {
		matters = min(matters, leakPerRequest*length)
	}
	early, late, slows := s.halves()
	switch grows := e.Low > 0 && e.Estimate*length >= minGrowth; {
	case grows && slows:
		g.Verdict, g.Reason = Growing, fmt.Sprintf("it grew by %s, but by %s in the first half and by %s in the second: that may be a cache that fills; watch longer",
			s.rate(&g), signed(early*length/2), signed(late*length/2))
	case grows && (s.len() < minCalmTicks || s.len()+s.crowded < minLeakTicks):
		g.Verdict, g.Reason = Growing, fmt.Sprintf("it grew by %s; %s are too few to tell a leak from caches that fill: %d are needed", s.rate(&g), count(s.len(), "reading"), max(minCalmTicks, minLeakTicks-s.crowded))
	case grows && e.Estimate*length < minLeak:
		g.Verdict, g.Reason = Growing, fmt.Sprintf("it grew by %s, %s in all: too little to tell a leak from a cache that is nearly full; watch longer", s.rate(&g), recording.Bytes(e.Estimate*length))
	case grows && (e.Low*length < minLeak || g.GrowthBytesPerSecond.Low <= 0):
		g.Verdict, g.Reason = Growing, fmt.Sprintf("it grew by %s, but unevenly: of that only %s are sure, which a few more requests at a time take as well; watch longer",
			s.rate(&g), recording.Bytes(max(0, min(e.Low*length, g.GrowthBytesPerSecond.Low*span(s.seconds)))))
	case grows:
		g.Verdict, g.Reason = LeakSuspected, fmt.Sprintf("it grew by %s, without slowing down, for %s", s.rate(&g), s.extent())
	case e.High*length > max(matters, minGrowth):
		g.Verdict, g.Reason = TooShort, fmt.Sprintf("in %s it may have grown by up to %s, or not at all: it moved too much to tell", s.extent(), recording.Bytes(e.High*length))
	case e.High*length < 1:
		g.Verdict, g.Reason = Stable, fmt.Sprintf("in %s it did not grow", s.extent())
	default:
		g.Verdict, g.Reason = Stable, fmt.Sprintf("in %s it grew by no more than %s (95 %% confidence)", s.extent(), recording.Bytes(e.High*length))
	}
	if warmUp != "" {
		g.Reason += "; left out as the warm-up: " + warmUp
	}
	return g
}

// rate writes the growth with its interval.
func (s stretch) rate(g *recording.MemoryGrowth) string {
	e := g.GrowthBytesPerSecond
	text := fmt.Sprintf("%s a second (%s to %s with 95 %% confidence)", recording.Bytes(e.Estimate), signed(e.Low), signed(e.High))
	if p := g.GrowthPerThousand; p != nil {
		text += fmt.Sprintf(", %s per 1,000 requests", recording.Bytes(p.Estimate))
	}
	return text
}

// extent is how long the stretch is.
func (s stretch) extent() string {
	text := clock(span(s.seconds))
	if s.byRequests {
		text += " and " + recording.Number(int64(span(s.requests))) + " requests"
	}
	return text
}

func signed(bytes float64) string {
	if bytes < 0 {
		return "−" + recording.Bytes(-bytes)
	}
	return recording.Bytes(bytes)
}

// clock writes seconds as "1:05 min" or "40 s".
func clock(seconds float64) string {
	s := int(seconds + .5)
	if s < 100 {
		return fmt.Sprintf("%d s", s)
	}
	if s < 2*3600 {
		return fmt.Sprintf("%d:%02d min", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d h", s/3600, s/60%60)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
