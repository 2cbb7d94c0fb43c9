package memoryfile

import (
	"fmt"
	"math"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Geometry of the charts.
const (
	axis      = 66 // for the figures at the left
	plotWidth = inner - axis
	maxPoints = 540 // a point for each unit
)

type point struct{ t, v float64 }

type series struct {
	name, class string
	points      []point
}

// chart is a plot over the window's time.
type chart struct {
	title    string
	height   float64
	seconds  float64
	enlarged bool                 // does not begin at zero
	format   func(float64) string // of the axis; nil: bytes
	series   []series
	limit    float64 // a line across; 0: none
	named    string
	under    func(p *picture, x, y func(float64) float64, top float64) // drawn below the curves
	over     func(p *picture, x, y func(float64) float64)              // and above
}

func (p *picture) charts(r *recording.Recording, scenarios []*recording.Recording) {
	m := &r.Memory
	seconds := max(r.Window.Seconds, m.Timeline[len(m.Timeline)-1].T)
	of := func(f func(recording.MemoryTick) float64) (out []point) {
		for _, t := range m.Timeline {
			if v := f(t); !math.IsNaN(v) {
				out = append(out, point{t.T, v})
			}
		}
		return out
	}
	rss := of(func(t recording.MemoryTick) float64 { return float64(t.RSS) })
	all := chart{
		title: "RSS, PSS and heap", height: 170, seconds: seconds,
		series: []series{
			{"RSS", "rss", rss},
			{"heap (anonymous)", "heap", of(func(t recording.MemoryTick) float64 { return float64(t.Heap) })},
			{"PSS", "pss", of(func(t recording.MemoryTick) float64 {
				if t.PSS == 0 {
					return math.NaN()
				}
				return float64(t.PSS)
			})},
		},
		under: func(p *picture, x, _ func(float64) float64, top float64) { p.bands(r, scenarios, x, top, 170) },
	}
	for _, l := range m.Limits {
		if l.Share > .25 && (all.limit == 0 || float64(l.Bytes) < all.limit) {
			all.limit, all.named = float64(l.Bytes), "limit "+size(l.Bytes)+" ("+l.What+")"
		}
	}
	p.draw(all)
	p.growth(m, seconds)
	if len(m.Processes) > 1 {
		p.processes(m.Processes, seconds)
	}
	var requests []point
	for _, t := range r.Timeline {
		requests = append(requests, point{t.T, float64(t.Requests)})
	}
	for _, c := range []chart{
		{title: "Requests", format: whole, series: []series{
			{"answered each second", "requests", requests},
			{"under way, at most", "active", of(func(t recording.MemoryTick) float64 { return float64(t.Active) })},
		}},
		{title: "VMS", series: []series{{"", "vms", of(func(t recording.MemoryTick) float64 { return float64(t.VMS) })}}},
		{title: "Threads and open files", format: whole, series: []series{
			{"threads", "threads", of(func(t recording.MemoryTick) float64 { return float64(t.Threads) })},
			{"open file descriptors", "files", of(func(t recording.MemoryTick) float64 { return float64(t.FDs) })},
		}},
	} {
		c.height, c.seconds = 70, seconds
		p.draw(c)
	}
}

// bytesBy writes the bytes of an axis up to high in one unit, with the digits that tell its steps apart.
func bytesBy(high, step float64) func(float64) string {
	unit, name := 1.0, "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if high < 1000*unit {
			break
		}
		unit, name = unit*1000, u
	}
	digits := max(0, -int(math.Floor(math.Log10(step/unit)+1e-9)))
	return func(v float64) string { return fmt.Sprintf("%.*f %s", digits, v/unit, name) }
}

func whole(v float64) string { return recording.Number(int64(v + .5)) }

// growth enlarges resident and swapped memory, with its trend and what the interval leaves open.
func (p *picture) growth(m *recording.Memory, seconds float64) {
	var points []point
	for _, t := range m.Timeline {
		points = append(points, point{t.T, float64(t.RSS + t.Swap)})
	}
	c := chart{title: "RSS and swap, enlarged", height: 170, seconds: seconds, enlarged: true, series: []series{{"", "rss", points}}}
	if t, e := m.Trend, m.GrowthBytesPerSecond; t != nil && e != nil {
		c.title += ", with the growth and its 95 % interval"
		if t.Crowded > 0 { // the line is of less time than it spans in the picture
			c.title = fmt.Sprintf("RSS and swap, enlarged; growth (95 %%) without %.0f s of a growing crowd", t.Crowded)
		}
		c.under = func(p *picture, x, _ func(float64) float64, top float64) {
			if t.WarmUp != "" {
				p.f(`<rect class="warm" x="%.1f" y="%.1f" width="%.1f" height="170"><title>warm-up: %s</title></rect><text class="tick" x="%.1f" y="%.1f">warm-up</text>`+"\n",
					x(0), top, x(t.From)-x(0), escape(t.WarmUp), x(0)+4, top+14)
			}
		}
		c.over = func(p *picture, x, y func(float64) float64) {
			middle, level := (t.From+t.To)/2, (t.BytesFrom+t.BytesTo)/2
			at := func(slope, when float64) string {
				return fmt.Sprintf("%.1f,%.1f", x(when), y(level+slope*(when-middle)))
			}
			p.f(`<polygon class="fan" points="%s %s %s %s %s %s"/>`+"\n", at(e.Low, t.From), at(0, middle), at(e.Low, t.To), at(e.High, t.To), at(0, middle), at(e.High, t.From))
			p.f(`<line class="trend" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x(t.From), y(t.BytesFrom), x(t.To), y(t.BytesTo))
		}
		for _, when := range []float64{t.From, t.To} { // so that the fan is in the picture
			for _, slope := range []float64{e.Low, e.High} {
				v := (t.BytesFrom+t.BytesTo)/2 + slope*(when-(t.From+t.To)/2)
				c.series = append(c.series, series{points: []point{{when, v}}})
			}
		}
	}
	p.draw(c)
}

// processes draws the RSS of each; the largest have names.
func (p *picture) processes(list []recording.MemoryProcess, seconds float64) {
	c := chart{title: "RSS of each process", height: 120, seconds: seconds}
	for i, proc := range list {
		s := series{class: fmt.Sprintf("p%d", i%shades)}
		if i < 5 {
			s.name = fmt.Sprintf("%s %d", proc.Name, proc.PID)
		}
		for _, t := range proc.Timeline {
			s.points = append(s.points, point{t.T, float64(t.RSS)})
		}
		c.series = append(c.series, s)
	}
	p.draw(c)
}

// bands shades the scenarios.
func (p *picture) bands(r *recording.Recording, scenarios []*recording.Recording, x func(float64) float64, top, height float64) {
	for _, s := range scenarios {
		from := s.Window.Start.Sub(r.Window.Start).Seconds()
		name := ""
		if s.Scenario != nil {
			name = s.Scenario.Name
		}
		p.f(`<rect class="band" x="%.1f" y="%.1f" width="%.1f" height="%.0f"/><text class="tick" x="%.1f" y="%.1f">%s</text>`+"\n",
			x(max(0, from)), top, max(0, x(from+s.Window.Seconds)-x(max(0, from))), height, x(max(0, from))+3, top+12, escape(name))
	}
}

// range of the chart's values, and the lines of its grid.
func (c *chart) scale() (low, high float64, lines []float64) {
	low, high = math.Inf(1), c.limit
	for _, s := range c.series {
		for _, q := range s.points {
			low, high = min(low, q.v), max(high, q.v)
		}
	}
	if !c.enlarged || math.IsInf(low, 1) {
		low = 0
	}
	if high <= low {
		high = low + 1
	}
	if c.enlarged { // no less than a hundredth of what is held: noise should look like noise
		if least := high / 100; high-low < least {
			low, high = low-(least-(high-low))/2, high+(least-(high-low))/2
		}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/3)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*f) <= 4 {
			step *= f
			break
		}
	}
	low, high = math.Floor(low/step)*step, math.Ceil(high/step*1.001)*step
	for i := 0; low+float64(i)*step <= high+step/2; i++ {
		lines = append(lines, low+float64(i)*step)
	}
	return low, high, lines
}

func (p *picture) draw(c chart) {
	p.section(c.title)
	p.legend(c.series)
	top := p.y - 8
	low, high, lines := c.scale()
	x := func(t float64) float64 { return margin + axis + plotWidth*t/max(c.seconds, 1e-9) }
	y := func(v float64) float64 { return top + c.height*(1-(v-low)/(high-low)) }
	if c.under != nil {
		c.under(p, x, y, top)
	}
	format := c.format
	if format == nil {
		format = bytesBy(high, lines[1]-lines[0])
	}
	for _, v := range lines {
		p.f(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			margin+axis, width-margin, y(v), y(v), margin+axis-6, y(v)+4, escape(format(v)))
	}
	for _, s := range c.series {
		if s.class != "" {
			p.curve(s, x, y)
		}
	}
	if c.over != nil {
		c.over(p, x, y)
	}
	if c.limit > 0 {
		p.f(`<line class="limit" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="limit-name" x="%d" y="%.1f">%s</text>`+"\n",
			margin+axis, width-margin, y(c.limit), y(c.limit), margin+axis+4, y(c.limit)+14, escape(c.named))
	}
	for i := range 5 {
		t := c.seconds * float64(i) / 4
		anchor := []string{"start", "middle", "middle", "middle", "end"}[i]
		p.f(`<text class="tick" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x(t), top+c.height+16, anchor, clock(t))
	}
	p.y = top + c.height + 20
}

// legend names the curves that have a name.
func (p *picture) legend(list []series) {
	x := float64(margin)
	for _, s := range list {
		if s.name == "" || len(s.points) == 0 {
			continue
		}
		p.f(`<line class="line %s" x1="%.0f" x2="%.0f" y1="%.0f" y2="%.0f"/><text class="tick" x="%.0f" y="%.0f">%s</text>`+"\n", s.class, x, x+16, p.y-4, p.y-4, x+20, p.y, escape(s.name))
		x += 20 + 7*float64(len(s.name)) + 14
	}
	if x > margin {
		p.y += 20
	}
}

// curve draws a series, a few points as dots too.
func (p *picture) curve(s series, x, y func(float64) float64) {
	points := thin(s.points)
	var path strings.Builder
	for _, q := range points {
		fmt.Fprintf(&path, "%.1f,%.1f ", x(q.t), y(q.v))
	}
	p.f(`<polyline class="line %s" points="%s"/>`+"\n", s.class, strings.TrimSpace(path.String()))
	if len(points) <= 12 {
		for _, q := range points {
			p.f(`<circle class="line %s" cx="%.1f" cy="%.1f" r="2.5"/>`+"\n", s.class, x(q.t), y(q.v))
		}
	}
}

// thin keeps the largest of neighbouring readings until there are no more than can be told apart.
func thin(points []point) []point {
	group := (len(points) + maxPoints - 1) / maxPoints
	if group <= 1 {
		return points
	}
	var out []point
	for ; len(points) > 0; points = points[min(group, len(points)):] {
		q := points[0]
		for _, o := range points[:min(group, len(points))] {
			q.v = max(q.v, o.v)
		}
		out = append(out, q)
	}
	return out
}

// clock writes seconds since the begin as m:ss.
func clock(t float64) string { return fmt.Sprintf("%d:%02d", int(t+.5)/60, int(t+.5)%60) }
