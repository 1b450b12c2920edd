#!/usr/bin/python3 -B
"""hermes.py - Hermes' figures 10 and 11 (bursts of 100 k and 5 M requests/s, a second each, with batch work behind) and
its table 1 (what the IOKernel's core does, the largest share over all loads), `standing-queue` against `priority-heap`."""

import os
import tempfile

import simulation

POLICIES = ["standing-queue", "priority-heap"]
APPS = """
cores = 14
[[app]]
name = "echo"
arrivals = "{arrivals}"
service = "{service}"
{rate}
guaranteed = 1
flows = {flows}
[[app]]
name = "batch"
priority = "best-effort"
batch_threads = 28
batch_unit = "20us"
"""
TASKS = ["receive", "reply", "congestion_detection", "core_reallocation"]
# An echo of no work, as the paper's; the model wants it to take some time.
RATES = [100e3, 500e3, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6, 8e6]


def scenario(directory, name, **values):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(APPS.format(**values))
    return path


def bursts(parsed, directory):
    """A second of each rate, twice: 10.2 million requests."""
    path = scenario(directory, "bursts.toml", arrivals="bursts:100k:5M:1s", service="const:1us", rate="", flows=50)
    return simulation.sweep(parsed, {"congestion": POLICIES}, "--scenario", path, "--requests", "10.2e6", "--warm-up", 0,
                            "--window", "50ms")


def table_1(parsed, directory):
    path = scenario(directory, "echo.toml", arrivals="poisson", service="const:0.1us", rate="rate = 1000000.0", flows=100)
    results = simulation.sweep(parsed, {"congestion": POLICIES, "rate": [f"{rate:.0f}" for rate in RATES]},
                               "--scenario", path, "--requests", f"{parsed.requests:.0f}")
    for result in results:
        result.update({f"iokernel_{task}": 100 * result["iokernel"][task] for task in TASKS})
    return results


def main():
    parsed = simulation.options("hermes.py", __doc__, requests_help="of each run of table 1")
    with tempfile.TemporaryDirectory() as directory:
        bursty = bursts(parsed, directory)
        echo = table_1(parsed, directory)
    rows = [{"congestion": result["congestion"]} | window for result in bursty for window in result["series"]]
    simulation.save(parsed, "hermes_bursts", rows)
    simulation.save(parsed, "hermes_table1", echo)

    def over_time(figure):
        return {result["congestion"]: [(window["from_us"] / 1e6, window[figure]) for window in result["series"]]
                for result in bursty}

    load = {"offered": [(window["from_us"] / 1e6, window["samples"] / 0.05 / 1e6) for window in bursty[0]["series"]]}
    simulation.plot(parsed, "hermes_bursts", "100 k and 5 M requests/s in turn, 1 us each, 14 cores, batch work behind", [
        ("p50", "s", "us", False, over_time("p50_us")), ("p99", "s", "us", True, over_time("p99_us")),
        ("p99.9", "s", "us", True, over_time("p999_us")), ("load", "s", "M requests/s", False, load)])

    def policy(result):
        return result["congestion"]

    for result in echo:
        result["offered"] = result["rate_per_s"] / 1e6
    simulation.plot(parsed, "hermes_table1", "An echo without work, 14 cores, batch work behind: the IOKernel's core", [
        (task.replace("_", " "), "M requests/s", "% of its time", False,
         simulation.lines(echo, policy, "offered", f"iokernel_{task}")) for task in TASKS])
    simulation.table(["bursts", "p50 us", "p99 us", "p99.9 us", "worst window's p99.9 us", "at 100 k: p99.9", "at 5 M: p99.9"],
                     [[r["congestion"], r["p50_us"], r["p99_us"], r["p999_us"],
                       max(w["p999_us"] for w in r["series"]),
                       max(w["p999_us"] for w in r["series"] if w["samples"] < 10_000),
                       sorted(w["p999_us"] for w in r["series"] if w["samples"] > 200_000)[10]] for r in bursty])
    print()
    simulation.table(["largest share of the IOKernel's core, %"] + [task.replace("_", " ") for task in TASKS],
                     [[name] + [max(r[f"iokernel_{task}"] for r in echo if r["congestion"] == name) for task in TASKS]
                      for name in POLICIES])


main()
