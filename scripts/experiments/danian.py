#!/usr/bin/python3 -B
"""danian.py - Danian: which parked kthread gets a core. What a pick costs against the number of kthreads, measured on this
machine (policies_bench); p99 and CPU under `scan`, `memoized` and `lru`, simulated."""

import json
import re
import subprocess
import sys

import simulation

# As benchmarks are called, and what they ask: the core's last kthread is parked, or nobody ran there.
CASES = {"PickWarm": "its last kthread", "PickNobodyRanHere": "nobody ran there"}
POLICIES = {"MemoizedPick": "memoized", "ScanPick": "scan", "LruPick": "lru"}


def pick_costs(bench):
    """A row per policy, case and number of kthreads."""
    command = [bench, f"--benchmark_filter=^({'|'.join(CASES)})<", "--benchmark_format=json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")
    rows = []
    for run in json.loads(done.stdout)["benchmarks"]:
        case, policy, kthreads = re.fullmatch(r"(\w+)<(\w+)>/(\d+)", run["name"]).groups()
        rows.append({"pick": POLICIES[policy], "core": CASES[case], "kthreads": int(kthreads), "ns": run["cpu_time"]})
    return rows


def draw_costs(parsed, rows):
    simulation.save(parsed, "danian_pick", rows)
    panels = [(f"core: {case}", "kthreads", "ns per pick", True,
               simulation.lines([row for row in rows if row["core"] == case], lambda row: row["pick"], "kthreads", "ns"))
              for case in CASES.values()]
    simulation.plot(parsed, "danian_pick", "What a pick costs", panels, note="measured by policies_bench", log_x=True)
    simulation.table(["pick", "core", "kthreads", "ns"], [list(row.values()) for row in rows])


def main():
    parser = simulation.parser("danian.py", __doc__)
    parsed = simulation.parse(parser)
    draw_costs(parsed, pick_costs(simulation.built(parser, parsed, "policies_bench")))
    print()
    results = simulation.sweep(parsed, {"pick": ["scan", "memoized", "lru"], "load": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]},
                               "--cores", 12, "--service", "exp:10us", "--requests", parsed.requests)
    simulation.save(parsed, "danian", results)

    def pick(result):
        return result["pick"]

    simulation.plot(parsed, "danian", "Pick policies, 12 cores, exponential 10 us", [
        ("tail", "load", "p99 in us", False, simulation.lines(results, pick, "load", "p99_us")),
        ("CPU", "load", "work / cores held", False, simulation.lines(results, pick, "load", "efficiency"))])
    simulation.table(["pick", "load", "mean us", "p99 us", "efficiency", "grants/s"],
                     [[r["pick"], r["load"], r["mean_us"], r["p99_us"], r["efficiency"], r["grants_per_s"]]
                      for r in results])


main()
