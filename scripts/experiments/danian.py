#!/usr/bin/python3 -B
"""danian.py - Danian: which parked kthread gets a core. p99 and CPU under `scan`, `memoized` and `lru`.

What a pick itself costs against the number of kthreads: policies_bench --benchmark_filter=Pick (docs/results.md).
"""

import simulation


def main():
    parsed = simulation.options("danian.py", __doc__)
    results = simulation.sweep(parsed, {"pick": ["scan", "memoized", "lru"], "load": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]},
                               "--cores", 12, "--service", "exp:10us", "--requests", f"{parsed.requests:.0f}")
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
