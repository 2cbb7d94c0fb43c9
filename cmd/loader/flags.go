package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/scenario"
)

const (
	whatToSend = "What to send"
	howMuch    = "How much"
	results    = "Results"
	webUI      = "Web UI"
	ourselves  = "What the loader itself costs"
	logging    = "Logging and configuration"
)

// env names our variable of a flag and Locust's.
func env(flag string, locust ...string) []string {
	names := command.Env(flag)
	for _, l := range locust {
		names = append(names, "LOCUST_"+l)
	}
	return names
}

// runFlags are those of run. Names, letters and variables of Locust's flags are Locust's.
func runFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Category: whatToSend, Name: "host", Aliases: []string{"H"}, EnvVars: env("host", "HOST"), Usage: "base `URL` of the API, http://localhost:8000; unix:/run/app.sock for a Unix socket"},
		&cli.StringFlag{Category: whatToSend, Name: "scenario", EnvVars: env("scenario"), Usage: "`FILE` or built-in scenario: " + strings.Join(scenario.BuiltinNames(), ", ")},
		&cli.StringFlag{Category: whatToSend, Name: "locustfile", Aliases: []string{"f"}, EnvVars: env("locustfile", "LOCUSTFILE"), Usage: "a scenario `FILE`, or a locustfile: it is converted, and refused when a part of it has no translation (see loader convert)"},
		&cli.StringFlag{Category: whatToSend, Name: "queries", EnvVars: env("queries"), Usage: "`FILE` (.jsonl, .csv or .txt) that replaces the data set named queries"},
		&cli.StringSliceFlag{Category: whatToSend, Name: "tags", Aliases: []string{"T"}, EnvVars: env("tags", "TAGS"), Usage: "send only the tasks with any of these `TAGS`"},
		&cli.StringSliceFlag{Category: whatToSend, Name: "exclude-tags", Aliases: []string{"E"}, EnvVars: env("exclude-tags", "EXCLUDE_TAGS"), Usage: "leave out the tasks with any of these `TAGS`"},
		&cli.BoolFlag{Category: whatToSend, Name: "equal-weights", EnvVars: env("equal-weights"), Usage: "send all tasks equally often"},
		&cli.BoolFlag{Category: whatToSend, Name: "list-scenarios", Usage: "print the built-in scenarios and end"},
		&cli.BoolFlag{Category: whatToSend, Name: "list", Aliases: []string{"l"}, Usage: "print the tasks and end"},
		&cli.BoolFlag{Category: whatToSend, Name: "show-task-ratio", Usage: "print the tasks with their share and end"},
		&cli.BoolFlag{Category: whatToSend, Name: "show-task-ratio-json", Usage: "the same as JSON"},
		&cli.StringFlag{Category: whatToSend, Name: "timeout", EnvVars: env("timeout"), Usage: "`TIME` after which a request fails", DefaultText: "60s"},
		&cli.BoolFlag{Category: whatToSend, Name: "http2", EnvVars: env("http2"), Usage: "send HTTP/2, without TLS too (prior knowledge); HTTP/1.1 otherwise"},
		&cli.BoolFlag{Category: whatToSend, Name: "insecure", EnvVars: env("insecure"), Usage: "do not check the server's certificate"},
		&cli.BoolFlag{Category: whatToSend, Name: "traceparent", EnvVars: env("traceparent"), Usage: "send W3C trace context, so that every request is a sampled trace of its own in the tracing system of the API; the recording tells the ids of the slowest, --requests those of all"},
		&cli.Uint64Flag{Category: whatToSend, Name: "seed", EnvVars: env("seed"), Usage: "`NUMBER` that tasks, data and pauses are drawn from", DefaultText: "another one each time"},

		&cli.IntFlag{Category: howMuch, Name: "users", Aliases: []string{"u"}, EnvVars: env("users", "USERS"), Usage: "closed model: `NUMBER` of users", DefaultText: "the scenario's, else 1"},
		&cli.StringFlag{Category: howMuch, Name: "spawn-rate", Aliases: []string{"r"}, EnvVars: env("spawn-rate", "SPAWN_RATE"), Usage: "`USERS` started a second", DefaultText: "the scenario's, else 1"},
		&cli.StringFlag{Category: howMuch, Name: "hatch-rate", Hidden: true, Usage: "the old name of --spawn-rate"},
		&cli.StringFlag{Category: howMuch, Name: "run-time", Aliases: []string{"t"}, EnvVars: env("run-time", "RUN_TIME"), Usage: "`TIME` to run, 20, 20s, 3m or 1h20m", DefaultText: "the scenario's, else until interrupted"},
		&cli.StringFlag{Category: howMuch, Name: "rate", EnvVars: env("rate"), Usage: "open model: `REQUESTS` a second, 50 or 50/s, whatever the answers do"},
		&cli.StringFlag{Category: howMuch, Name: "arrival", EnvVars: env("arrival"), Usage: "open model: constant or poisson `GAPS`"},
		&cli.IntFlag{Category: howMuch, Name: "max-in-flight", EnvVars: env("max-in-flight"), Usage: "open model: most `REQUESTS` under way at a time; reaching it makes the run invalid", DefaultText: "5000"},
		&cli.StringFlag{Category: howMuch, Name: "think-time", EnvVars: env("think-time"), Usage: "closed model: `PAUSE` between a user's requests: 0s, 2s, 1s..3s, exponential(2s)"},
		&cli.StringFlag{Category: howMuch, Name: "shard", EnvVars: env("shard"), Usage: "send one `PART` of the load, 2/3: as one of three loaders with the same --seed, --users and --rate"},
		&cli.StringFlag{Category: howMuch, Name: "stop-timeout", Aliases: []string{"s"}, EnvVars: env("stop-timeout", "STOP_TIMEOUT"), Value: "60s", Usage: "`TIME` that requests under way at the end may take; Locust's default 0 gives them up"},
		&cli.BoolFlag{Category: howMuch, Name: "headless", EnvVars: env("headless", "HEADLESS"), Usage: "run at once, without the web UI"},
		&cli.BoolFlag{Category: howMuch, Name: "reset-stats", EnvVars: env("reset-stats", "RESET_STATS"), Usage: "forget what was measured while the users started"},

		&cli.StringFlag{Category: results, Name: "csv", EnvVars: env("csv", "CSV"), Usage: "write `PREFIX`_stats.csv, _stats_history.csv, _failures.csv, _exceptions.csv as Locust does, and _recording.json"},
		&cli.BoolFlag{Category: results, Name: "csv-full-history", EnvVars: env("csv-full-history", "CSV_FULL_HISTORY"), Usage: "history rows of every task"},
		&cli.StringFlag{Category: results, Name: "html", EnvVars: env("html", "HTML"), Usage: "write a page to `FILE`; {u}, {r} and {t} stand for users, spawn rate and run time"},
		&cli.StringFlag{Category: results, Name: "hlog", EnvVars: env("hlog"), Usage: "write an HdrHistogram interval log to `FILE`: both clocks of every task, second by second"},
		&cli.StringFlag{Category: results, Name: "requests", EnvVars: env("requests"), Usage: "write one JSON line for each request to `FILE`: x-request-id, trace id, both clocks, first token and gaps"},
		&cli.BoolFlag{Category: results, Name: "json", Usage: "print Locust's JSON on standard output at the end"},
		&cli.StringFlag{Category: results, Name: "json-file", Usage: "write Locust's JSON to `FILE`.json instead of tables on the screen"},
		&cli.BoolFlag{Category: results, Name: "print-stats", EnvVars: env("print-stats", "PRINT_STATS"), Usage: "print Locust's table every two seconds instead of the progress line"},
		&cli.BoolFlag{Category: results, Name: "only-summary", EnvVars: env("only-summary", "ONLY_SUMMARY"), Usage: "print nothing before the end"},
		&cli.StringSliceFlag{Category: results, Name: "threshold", EnvVars: env("threshold"), Usage: "a `PROMISE` that makes the exit code 1 when it is missed: 'POST /api/v1/chat: p95 < 1s', 'error_rate < 1%', 'rps > 20', k6's 'http_req_duration:p(95)<500', or @FILE with one a line (@targets: the suite's); may be given again"},
		&cli.StringFlag{Category: results, Name: "metrics-listen", EnvVars: env("metrics-listen"), Usage: "serve Prometheus' /metrics on `ADDRESS`, :9471: native histograms by endpoint and clock, which add up over loaders; the end waits for one more scrape, 20 s at most"},
		&cli.StringFlag{Category: results, Name: "junit", EnvVars: env("junit"), Usage: "write thresholds and failures as JUnit tests to `FILE`"},
		&cli.BoolFlag{Category: results, Name: "github-annotations", EnvVars: env("github-annotations"), Usage: "print what was missed as annotations of GitHub Actions"},
		&cli.IntFlag{Category: results, Name: "exit-code-on-error", EnvVars: env("exit-code-on-error", "EXIT_CODE_ON_ERROR"), Value: command.Failed, Usage: "exit `CODE` when requests failed"},
		&cli.StringFlag{Category: results, Name: "agent", EnvVars: env("agent"), Usage: "base `URL` of a running agent: its view is joined into the recording"},

		&cli.StringFlag{Name: "loglevel", Aliases: []string{"L"}, Hidden: true, EnvVars: []string{"LOCUST_LOGLEVEL"}, Usage: "Locust's name of --log-level"},
		&cli.PathFlag{Category: logging, Name: "logfile", EnvVars: env("logfile", "LOGFILE"), Usage: "log to `FILE`"},
		&cli.BoolFlag{Name: "skip-log-setup", Hidden: true, EnvVars: env("skip-log-setup", "SKIP_LOG_SETUP"), Usage: "has no meaning here"},
	}
	flags = append(flags, foreignFlags()...)
	flags = append(flags, webFlags()...)
	flags = append(flags, command.PyroscopeFlags(ourselves, "profiles of the loader itself, with --self-profile")...)
	return append(flags, command.Flags()...)
}

// webFlags are those of the web UI.
func webFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: webUI, Name: "web-host", EnvVars: env("web-host", "WEB_HOST"), Usage: "`ADDRESS` to listen on", DefaultText: "all, as Locust"},
		&cli.IntFlag{Category: webUI, Name: "web-port", Aliases: []string{"P"}, EnvVars: env("web-port", "WEB_PORT"), Value: 8089, Usage: "`PORT` to listen on"},
		&cli.StringFlag{Category: webUI, Name: "web-base-path", EnvVars: env("web-base-path", "WEB_BASE_PATH"), Usage: "`PATH` of the page behind a proxy, /loader"},
		&cli.BoolFlag{Category: webUI, Name: "web-login", EnvVars: env("web-login", "WEB_LOGIN"), Usage: "ask for a name and a password"},
		&cli.StringFlag{Category: webUI, Name: "web-auth", EnvVars: env("web-auth", "WEB_AUTH"), Usage: "the `NAME:PASSWORD` to ask for", DefaultText: "one that the log tells"},
		&cli.StringFlag{Category: webUI, Name: "tls-cert", EnvVars: env("tls-cert", "TLS_CERT"), Usage: "`FILE` with a certificate, for https"},
		&cli.StringFlag{Category: webUI, Name: "tls-key", EnvVars: env("tls-key", "TLS_KEY"), Usage: "`FILE` with its key"},
		&cli.BoolFlag{Category: webUI, Name: "autostart", EnvVars: env("autostart", "AUTOSTART"), Usage: "run at once, with the web UI; implied by --headless"},
		&cli.IntFlag{Category: webUI, Name: "autoquit", EnvVars: env("autoquit", "AUTOQUIT"), Value: -1, Usage: "with --autostart: end so many `SECONDS` after the run", DefaultText: "stay"},
		&cli.BoolFlag{Category: webUI, Name: "class-picker", EnvVars: env("class-picker", "USERCLASS_PICKER"), Usage: "let the form choose among the scenario's user classes"},
	}
}

// words splits --tags a,b and --tags a --tags b alike; LOCUST_TAGS separates by spaces.
func words(values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(", []", r) })...)
	}
	return out
}
