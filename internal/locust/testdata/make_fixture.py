"""Writes the golden files beside it with Locust's own code.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install locust==2.46.3
    /tmp/venv/bin/python make_fixture.py

samples.jsonl is the traffic; the other files are what Locust makes of it.
"""
import csv, json, random, time
from unittest import mock

START = 1795431890.25
clock = [START]
mock.patch("time.time", lambda: clock[0]).start()

from locust import stats as ls                                   # noqa: E402
from locust.exception import CatchResponseError                  # noqa: E402

rnd = random.Random(4)
TASKS = [("POST", "/api/v1/chat", 1, 420), ("POST", "/api/v1/retrieval/search [hybrid]", 3, 160), ("POST", "/api/v1/retrieval/search [vector]", .5, 60),
         ("GET", "/health", .2, 4), ("GET", '/a,"b"', .1, 3000), ("POST", "/slow", .05, 14000)]
ERRORS = [("http", 500, "HTTPError('500 Server Error: Internal Server Error for url: %s')"), ("check", 200, CatchResponseError("it's wrong")),
          ("refused", 0, "ConnectionRefusedError(111, 'Connection refused')"), ("limited", 429, "HTTPError('429 Client Error: Too Many Requests for url: %s')")]


class Runner:
    user_count = 7
    exceptions = {}


class Environment:
    stats = ls.RequestStats()
    runner = Runner()


env = Environment()
writer = ls.StatsCSV(env, ls.PERCENTILES_TO_REPORT)
history = {}
for full in (False, True):
    f = open("history_full.csv" if full else "history.csv", "w", newline="")
    w = csv.writer(f)
    fw = ls.StatsCSVFileWriter.__new__(ls.StatsCSVFileWriter)
    ls.StatsCSV.__init__(fw, env, ls.PERCENTILES_TO_REPORT)
    fw.full_history = full
    history[full] = (fw, w, f)


def tick():
    for fw, w, _ in history.values():
        fw._stats_history_data_rows(w, clock[0])


samples = open("samples.jsonl", "w")
tick()
for second in range(25):
    n = 0 if second in (3, 17) else rnd.randint(3, 14)
    for at in sorted(rnd.random() for _ in range(n)):
        clock[0] = round(START + second + at, 6)
        method, name, _, scale = rnd.choices(TASKS, [t[2] for t in TASKS])[0]
        ms = scale * rnd.lognormvariate(0, .5)
        length = rnd.randint(0, 300)
        row = {"method": method, "name": name, "at": clock[0], "ms": ms, "length": length}
        env.stats.log_request(method, name, ms, length)
        if rnd.random() < .07:
            kind, status, text = rnd.choice(ERRORS)
            row["error"], row["status"] = kind, status
            env.stats.log_error(method, name, text % name if isinstance(text, str) and "%s" in text else text)
        samples.write(json.dumps(row) + "\n")
    clock[0] = START + second + 1
    tick()

samples.close()
for name, write in (("stats.csv", writer.requests_csv), ("failures.csv", writer.failures_csv), ("exceptions.csv", writer.exceptions_csv)):
    with open(name, "w", newline="") as f:
        write(csv.writer(f))
with open("console.txt", "w") as f:
    for block in (ls.get_stats_summary(env.stats, False), ls.get_stats_summary(env.stats, True), ls.get_percentile_stats_summary(env.stats), ls.get_error_report_summary(env.stats)):
        f.write("\n".join(block) + "\n")
with open("stats.json", "w") as f:
    json.dump(env.stats.serialize_stats(), f, indent=4)
with open("floats.json", "w") as f:
    values = [0.0, 1.0, 0.1, 446.9439073450366, 1e16, 123456789012345680.0, 1e15, 1e-5, 0.0001, 2.5e-7, 100.0, 1 / 3, 5e-324]
    json.dump([[v, repr(v)] for v in values], f)
with open("buckets.json", "w") as f:
    values = [0, .5, 1.5, 2.5, 99.4, 99.5, 99.9, 100, 104.9, 105, 115, 994.9, 995, 999.9, 1000, 1049, 1050, 1150, 9949, 9950, 10000, 10500, 11500, 58760] + [rnd.lognormvariate(5, 2) for _ in range(200)]
    json.dump([[v, ls.bucket_response_time(v)] for v in values], f)
with open("strings.json", "w") as f:
    values = ["plain", "it's", 'say "x"', "it's \"x\"", "tab\tnew\nline\r\\", "ümläut €", "\x00\x7f\x85", "\u200b", "😀", ""]
    json.dump([[v, repr(v), json.dumps(v)] for v in values], f)
