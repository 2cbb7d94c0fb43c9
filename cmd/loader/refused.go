package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
)

// foreign is a flag of Locust's that has no meaning here.
type foreign struct {
	name     string
	env      string // Locust's variable
	valued   bool
	harmless bool   // taken without effect; else refused
	instead  string // what to use instead, as the end of a sentence
}

const (
	shards = "there is no master: run a loader on each machine with --shard 1/3, 2/3, 3/3 and add their recordings up with `loader merge`, or let Prometheus add them up with --metrics-listen"
	noUser = "there is no Python here: users are described in a scenario file, see --scenario"
)

// foreigners are Locust's flags that run has not. None of them is ignored silently: those that
// would change what is sent or measured are refused.
var foreigners = []foreign{
	{name: "master", env: "MODE_MASTER", instead: shards},
	{name: "worker", env: "MODE_WORKER", instead: shards},
	{name: "slave", instead: shards},
	{name: "processes", env: "PROCESSES", valued: true, instead: "one loader uses all CPUs (GOMAXPROCS limits it): leave the flag out, or share the load between machines with --shard i/n"},
	{name: "master-host", env: "MASTER_NODE_HOST", valued: true, instead: shards},
	{name: "master-port", env: "MASTER_NODE_PORT", valued: true, instead: shards},
	{name: "master-bind-host", env: "MASTER_BIND_HOST", valued: true, instead: shards},
	{name: "master-bind-port", env: "MASTER_BIND_PORT", valued: true, instead: shards},
	{name: "expect-workers", env: "EXPECT_WORKERS", valued: true, instead: shards},
	{name: "expect-workers-max-wait", env: "EXPECT_WORKERS_MAX_WAIT", valued: true, instead: shards},
	{name: "expect-slaves", instead: shards},
	{name: "enable-rebalancing", instead: shards},
	{name: "otel", env: "ENABLE_OPENTELEMETRY", instead: "metrics come from --metrics-listen (Prometheus, native histograms), and --agent joins what the service did"},
	{name: "profile", valued: true, instead: "runs are told apart by their files: --csv results/NAME"},
	{name: "config-users", env: "CONFIG_USERS", valued: true, instead: "classes of users and their numbers stand in the scenario file, see --scenario"},
	{name: "headful", env: "HEADFUL", instead: "use --autostart for a run with the web UI that starts by itself"},
	{name: "legacy-ui", env: "LEGACY_UI", instead: "Locust has dropped it, too"},
	{name: "build-path", env: "BUILD_PATH", valued: true, instead: "the pages of the web UI are built in"},
	{name: "web-host-display-name", env: "WEB_HOST_DISPLAY_NAME", valued: true, harmless: true, instead: "the address that is listened on is shown"},
}

// foreignFlags are hidden flags for them, so that they are understood well enough to be refused.
func foreignFlags() []cli.Flag {
	var out []cli.Flag
	for _, f := range foreigners {
		var env []string
		if f.env != "" {
			env = []string{"LOCUST_" + f.env}
		}
		if f.valued {
			out = append(out, &cli.StringFlag{Name: f.name, EnvVars: env, Hidden: true})
		} else {
			out = append(out, &cli.BoolFlag{Name: f.name, EnvVars: env, Hidden: true})
		}
	}
	return out
}

// refuse complains about the first of Locust's flags that is set and has no meaning here, with
// what to use instead.
func refuse(c *cli.Context) error {
	for _, f := range foreigners {
		if !c.IsSet(f.name) || !f.valued && !c.Bool(f.name) || f.valued && c.String(f.name) == "" {
			continue
		}
		if !f.harmless {
			return command.Wrong("--%s is Locust's: %s", f.name, f.instead)
		}
		slog.Warn("--" + f.name + " has no effect: " + f.instead)
	}
	return nil
}

// plainSwitches lets variables of switches say yes and no, as Locust's may, and takes an empty
// one for one that is not set. It changes the process's own environment.
func plainSwitches(flags []cli.Flag) {
	for _, f := range flags {
		b, ok := f.(*cli.BoolFlag)
		if !ok {
			continue
		}
		for _, name := range b.EnvVars {
			word := strings.ToLower(strings.TrimSpace(os.Getenv(name)))
			switch {
			case slices.Contains([]string{"yes", "y", "on"}, word):
				_ = os.Setenv(name, "true")
			case slices.Contains([]string{"no", "n", "off"}, word):
				_ = os.Setenv(name, "false")
			}
		}
	}
}
