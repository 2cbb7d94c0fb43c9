package recording

func (r *Recording) addEventLoop(p *EventLoop) {
	if p == nil {
		return
	}
	if r.EventLoop == nil {
		r.EventLoop = &EventLoop{Blocks: []LoopBlock{}}
	}
	r.EventLoop.Lag.Merge(p.Lag)
	for _, b := range p.Blocks {
		o := slot(&r.EventLoop.Blocks, LoopBlock{Endpoint: b.Endpoint, Function: b.Function}, func(o LoopBlock) bool {
			return o.Endpoint == b.Endpoint && o.Function == b.Function
		})
		o.Count += b.Count
		o.Seconds += b.Seconds
		o.Asleep += b.Asleep
		o.Queued += b.Queued
		o.Longest = max(o.Longest, b.Longest)
	}
}
