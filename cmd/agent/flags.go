package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/backend"
	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/target"
	"github.com/ragscope/ragscope/internal/watch"
)

// watchFlags are those of every command that attaches to a target.
func watchFlags() []cli.Flag {
	return append(command.Flags(),
		&cli.StringFlag{Name: "target", Aliases: []string{"t"}, EnvVars: command.Env("target"), Usage: "what to watch: `:8000` or ADDRESS:PORT, pid:123, name:uvicorn or cgroup:/path"},
		&cli.StringFlag{Name: "service", EnvVars: command.Env("service"), Usage: "`NAME` of the service in metrics and reports (default: found out)"},
		&cli.StringFlag{Name: "overhead-budget", EnvVars: command.Env("overhead-budget"), Value: "2%", Usage: "`SHARE` of the target's CPU that watching may cost, 0.2 % of one CPU in any case; precision is lowered to stay inside, 0 switches that off"},
		&cli.StringFlag{Name: "precision", EnvVars: command.Env("precision"), Value: kernel.Full.String(), Usage: "at most this `STEP`: full, linked (no pool waits and no CPU by request) or sockets (no links either)"},
		&cli.StringFlag{Name: "memory-limit", EnvVars: command.Env("memory-limit"), Value: "2GB", Usage: "`SIZE` that the target's memory is held against, as 2GB or 512MiB; 0 for none"},
		&cli.BoolFlag{Name: "raw", EnvVars: command.Env("raw"), Usage: "keep the interpreter's own frames in stacks, three quarters of them, which are folded otherwise"},
		&cli.BoolFlag{Name: "line-numbers", EnvVars: command.Env("line-numbers"), Usage: "tell the lines of functions apart in stacks"},
		&cli.BoolFlag{Name: "no-openapi", EnvVars: command.Env("no-openapi"), Usage: "do not ask the target for /openapi.json; learn the routes from paths"},
		&cli.PathFlag{Name: "requests", EnvVars: command.Env("requests"), Usage: "write one JSON line for each request to `FILE`"},
		&cli.PathFlag{Name: "events", Hidden: true, Usage: "write the raw events to `FILE`, for tests of the heart"},
		&cli.StringFlag{Name: "redis-password", EnvVars: command.Env("redis-password"), Usage: "for INFO, where the target's Redis asks for one"},
		&cli.StringFlag{Name: "neo4j-user", EnvVars: command.Env("neo4j-user"), Usage: "for the size of the graph, where Neo4j asks for one"},
		&cli.StringFlag{Name: "neo4j-password", EnvVars: command.Env("neo4j-password"), Usage: "for the size of the graph, where Neo4j asks for one"},
		&cli.StringFlag{Name: "qdrant-api-key", EnvVars: command.Env("qdrant-api-key"), Usage: "for Qdrant's own figures, where it asks for one"},
	)
}

// cpuFlags are those of commands that show what runs on the CPU.
func cpuFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "cpu-hz", EnvVars: command.Env("cpu-hz"), Value: 97, Usage: "CPU stack samples a second, 0 for none"},
	}
}

// watchOptions reads them. The outputs, if any, are the caller's to keep and close, also after
// an error.
func watchOptions(c *cli.Context, log *slog.Logger) (o watch.Options, outputs []*output, err error) {
	if c.String("target") == "" {
		return o, nil, command.Wrong("--target is missing: name the port of the service, as in --target :8000")
	}
	o = watch.Options{
		Service: c.String("service"), OpenAPI: !c.Bool("no-openapi"), CPUHz: c.Int("cpu-hz"), Raw: c.Bool("raw"), Lines: c.Bool("line-numbers"), Log: log,
		Credentials: backend.Credentials{
			RedisPassword: c.String("redis-password"), QdrantAPIKey: c.String("qdrant-api-key"),
			Neo4jUsername: c.String("neo4j-user"), Neo4jPassword: c.String("neo4j-password"),
		},
	}
	o.Census = c.Command.Name == "memory"
	o.Memory = o.Census
	if o.Selector, err = target.ParseSelector(c.String("target")); err != nil {
		return o, nil, command.Wrong("--target: %w", err)
	}
	if o.Precision, err = kernel.ParsePrecision(c.String("precision")); err != nil {
		return o, nil, command.Wrong("--%w", err)
	}
	if o.Budget, err = share(c.String("overhead-budget")); err != nil {
		return o, nil, err
	}
	if o.MemoryLimit, err = memory.ParseSize(c.String("memory-limit")); err != nil {
		return o, nil, command.Wrong("--memory-limit %w", err)
	}
	o.Allocations = c.Duration("allocations") // of the command memory alone
	o.Forecast = func(text string) { fmt.Fprintln(c.App.Writer, text) }
	if o.Allocations < 0 {
		return o, nil, command.Wrong("--allocations %s: give a time above 0, as 10s", o.Allocations)
	}
	if o.CPUHz < 0 {
		return o, nil, command.Wrong("--cpu-hz %d: give the samples a second, as 97, or 0 for none", o.CPUHz)
	}
	for _, f := range []struct {
		flag string
		to   *io.Writer
	}{{"requests", &o.Requests}, {"events", &o.Events}} {
		path := c.Path(f.flag)
		if path == "" {
			continue
		}
		file, err := createOutput(path)
		if err != nil {
			return o, outputs, command.NotAllowed(fmt.Errorf("--%s: %w", f.flag, err))
		}
		*f.to = file
		outputs = append(outputs, file)
	}
	return o, outputs, nil
}

// share reads "2%" or "0.02".
func share(s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) { // no number, "nan", is neither
		return 0, command.Wrong("--overhead-budget %q: give a share of the target's CPU, as 2%% or 0.02", s)
	}
	return v, nil
}

// explain gives an error of attaching its exit code.
func explain(err error) error {
	var e *command.Error
	if errors.As(err, &e) {
		return err
	}
	return command.NotAllowed(err)
}
