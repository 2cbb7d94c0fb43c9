"""Holds the loader's files against those of a real Locust that sent the same: compare.py LOCUST_PREFIX LOADER_PREFIX.

Prints each difference in form; what was measured differs of course.
"""
import csv, json, re, sys
import pandas as pd

locust, loader = sys.argv[1:3]
wrong = []


def raw(prefix, suffix):
    with open(prefix + suffix, newline="") as f:
        return f.read()


def kind(cell):
    if re.fullmatch(r"-?\d+", cell):
        return "int"
    if re.fullmatch(r"-?\d+\.\d{6}", cell):
        return "%f or repr"  # six decimals are what both write
    if re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d\d+)?", cell) and repr(float(cell)) == cell:
        return "repr"
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", cell):
        return "time"
    return cell


def number(cell):
    return kind(cell) in ("int", "repr", "%f or repr", "N/A")


for suffix in ("_stats.csv", "_stats_history.csv", "_failures.csv", "_exceptions.csv"):
    texts = [raw(p, suffix) for p in (locust, loader)]
    for who, t in zip(("Locust", "the loader"), texts):
        if not t.endswith("\r\n") or t.replace("\r\n", "").count("\n"):
            wrong.append(f"{suffix}: {who} does not end its lines with CRLF")
    a, b = ([*csv.reader(t.splitlines())] for t in texts)
    if a[0] != b[0]:
        wrong.append(f"{suffix}: columns {b[0]}, Locust has {a[0]}")
    names = {"_stats.csv": 2, "_failures.csv": 3}.get(suffix)
    if names and [r[:names] for r in a] != [r[:names] for r in b]:
        wrong.append(f"{suffix}: rows {[r[:names] for r in b]}, Locust has {[r[:names] for r in a]}")
    # Each column holds kinds of cells that Locust's holds, too.
    for i, column in enumerate(a[0]):
        want, got = ({kind(r[i]) for r in rows[1:]} for rows in (a, b))
        if column.startswith("Total ") or "Response Time" in column or column == "Average Content Size":
            want |= {"int", "repr", "%f or repr"} if "Median" in column or "Average" not in column else {"repr", "%f or repr", "int"}
        if suffix == "_stats.csv" and column in ("Requests/s", "Failures/s") or column.startswith("Average"):
            want |= {"repr", "%f or repr"}
        if not got <= want and not (column in ("Name",) and suffix == "_stats_history.csv"):
            wrong.append(f"{suffix}: column {column} holds {sorted(got - want)}, Locust's {sorted(want)}")
    # What pandas makes of them.
    x, y = (pd.read_csv(p + suffix) for p in (locust, loader))
    for column in x.columns:
        if len(x) and str(x[column].dtype) != str(y[column].dtype) and "Median" not in column:
            wrong.append(f"{suffix}: pandas reads column {column} as {y[column].dtype}, Locust's as {x[column].dtype}")

# A script as people have them: the last total of the history is the total of the statistics.
for who, p in (("loader", loader),):
    s, h = pd.read_csv(p + "_stats.csv"), pd.read_csv(p + "_stats_history.csv")
    total = s[s["Name"] == "Aggregated"].iloc[0]
    last = h[h["Name"] == "Aggregated"].iloc[-1]
    if total["Request Count"] != last["Total Request Count"] or s[:-1]["Request Count"].sum() != total["Request Count"]:
        wrong.append(f"{who}: the files do not agree: {total['Request Count']}, {last['Total Request Count']}, {s[:-1]['Request Count'].sum()}")
    if h["Timestamp"].diff().dropna().max() > 2:
        wrong.append(f"{who}: a gap in the history")

a, b = (json.load(open(p + ".json")) for p in (locust, loader))
if len(a) != len(b) or {(e["name"], e["method"]) for e in a} != {(e["name"], e["method"]) for e in b}:
    wrong.append("JSON: other entries")
for e in b:
    if list(e) != list(a[0]) or [type(v) for v in e.values()] != [type(v) for v in a[0].values()]:
        wrong.append(f"JSON: {[(k, type(v).__name__) for k, v in e.items()]}, Locust has {[(k, type(v).__name__) for k, v in a[0].items()]}")

# The interval log, by HdrHistogram's own reader in Python.
from hdrh.histogram import HdrHistogram  # noqa: E402
from hdrh.log import HistogramLogReader  # noqa: E402

counts, h = {}, HdrHistogram(1, 3_600_000_000_000, 3)
reader = HistogramLogReader(loader + ".hlog", h)
while (i := reader.get_next_interval_histogram()) is not None:
    counts[i.tag] = counts.get(i.tag, 0) + i.get_total_count()
for e in b:
    for clock in ("response", "service"):
        tag = f"{clock}:{e['method']} {e['name']}".replace(" ", "_").replace(",", "_")
        if counts.get(tag) != e["num_requests"]:
            wrong.append(f"interval log: {tag} counts {counts.get(tag)}, the JSON {e['num_requests']}; tags {sorted(counts)}")

print("\n".join(wrong))
sys.exit(bool(wrong))
