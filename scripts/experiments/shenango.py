#!/usr/bin/python3 -B
"""shenango.py - CPU efficiency against the tail: congestion policies at intervals of 5 us to 1 ms (Shenango, McClure et
al.), and bursts of 100 k to 5 M requests/s with batch work behind them (Hermes' table 1 and figures 10 and 11)."""

import os
import tempfile

import simulation

POLICIES = ["standing-queue", "delay", "utilization", "priority-heap"]
BURSTS = """
cores = 14
warm_up = 0.1
[[app]]
name = "service"
arrivals = "bursts:100k:5M:20ms"
service = "const:1us"
guaranteed = 1
flows = 50
[[app]]
name = "batch"
priority = "best-effort"
batch_threads = 28
batch_unit = "20us"
"""


def main():
    parsed = simulation.options("shenango.py", __doc__)
    requests = f"{parsed.requests:.0f}"
    results = simulation.sweep(parsed, {"congestion": POLICIES,
                                        "interval": ["5us", "10us", "25us", "50us", "100us", "250us", "1ms"]},
                               "--cores", 16, "--service", "exp:10us", "--load", 0.4, "--requests", requests)
    simulation.save(parsed, "shenango", results)
    with tempfile.TemporaryDirectory() as directory:
        scenario = os.path.join(directory, "bursts.toml")
        with open(scenario, "w", encoding="utf-8") as file:
            file.write(BURSTS)
        bursts = simulation.sweep(parsed, {"congestion": POLICIES}, "--scenario", scenario, "--requests", requests)
    simulation.save(parsed, "hermes_bursts", bursts)

    def policy(result):
        return result["congestion"]

    simulation.plot(parsed, "shenango", "Congestion policies, 16 cores, exponential 10 us, load 0.4", [
        ("tail", "interval in us", "p99.9 in us", True, simulation.lines(results, policy, "interval_us", "p999_us")),
        ("CPU", "interval in us", "work / cores held", False,
         simulation.lines(results, policy, "interval_us", "efficiency")),
        ("trade", "work / cores held", "p99.9 in us", True,
         simulation.lines(results, policy, "efficiency", "p999_us"))])
    simulation.table(["congestion", "interval us", "p50 us", "p99.9 us", "efficiency", "cores", "grants/s"],
                     [[r["congestion"], r["interval_us"], r["p50_us"], r["p999_us"], r["efficiency"], r["cores_used"],
                       r["grants_per_s"]] for r in results])
    print()
    simulation.table(["bursts: congestion", "p50 us", "p99 us", "p99.9 us", "batch units/s", "detection % of the core",
                      "reallocation %"],
                     [[r["congestion"], r["p50_us"], r["p99_us"], r["p999_us"], r["batch_units_per_s"],
                       100 * r["iokernel"]["congestion_detection"], 100 * r["iokernel"]["core_reallocation"]]
                      for r in bursts])


main()
