package truth

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// pooledRun is a short run of one client of the application of pools.
type pooledRun struct{ client, loop string }

// capturedPools are those of which false waits are held to.
func capturedPools() []pooledRun {
	return []pooledRun{{"redis", "asyncio"}, {"httpx", "uvloop"}, {"aiohttp", "asyncio"}}
}

func (p pooledRun) name() string { return "pools, " + p.client + ", " + p.loop }

// captured runs it and leaves what readCapture reads in a directory.
func (p pooledRun) captured(ctx context.Context, dir, to string) error {
	raw := filepath.Join(dir, "events")
	truth, _, _, err := observePools(ctx, dir, raw, Settings{Loop: p.loop}, []string{p.client}, 1500*time.Millisecond)
	if err != nil {
		return err
	}
	k := capture{Late: p.loop == "uvloop", Pools: truth}
	if python, err := venv("pools"); err == nil {
		k.Versions = pythonVersions(python, "uvicorn", "uvloop", p.client)
	}
	return k.keep(raw, filepath.Join(to, fileOf(p.name())))
}

// pools judges the capture as the table of pools does.
func (k *capture) pools(p pooledRun) (*Row, error) {
	seen, losses, err := k.replay(func(method, path string) string { return method + " " + path })
	if err != nil {
		return nil, err
	}
	var sent []Sent
	for i := 0; i < len(k.Pools.Asked); i += 2 {
		sent = append(sent, Sent{ID: k.Pools.Asked[i], Status: 200})
	}
	r := &Row{Name: p.name(), Losses: losses}
	r.Requests(sent, seen)
	f := &PoolFindings{}
	g := f.compare(p.client, k.Pools, seen)
	r.Wait = &g.Wait
	r.Note = fmt.Sprintf("%d of %d time-outs told, %d false; %d of %d locks told, %d not there, %d taken for the pool", g.Timeouts.Seen, g.Timeouts.Known, g.Timeouts.False,
		g.Locks.Named, g.Locks.Known, g.Locks.False, g.Locks.AsPool)
	return r, nil
}
