package truth

import "testing"

// Connections that carry a single call each, sixteen at a time, are told apart.
func TestJudgeSingleCalls(t *testing.T) {
	var crossed []Crossing
	lines := map[string]*Seen{}
	const calls = 200
	for i := range calls {
		at := 1 + float64(i)*0.0004
		owner := string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
		crossed = append(crossed, Crossing{Owner: owner, Call: "1", Port: 40000 + i, Time: at + 0.0002})
		lines["row-"+owner] = &Seen{ID: "row-" + owner, Start: at - 0.001, Seconds: 0.02, Calls: []SeenCall{
			{LocalPort: 40000 + i, Sent: at, FirstArrived: at + 0.0065, LastRead: at + 0.007, Basis: "context"},
		}}
	}
	j := newJudge(&callersTruth{Crossed: crossed}, lines)
	if f := j.calls(); f.Linked != calls || f.Wrong > 0 || f.Bare > 0 {
		t.Errorf("%+v", *f)
	}
}
