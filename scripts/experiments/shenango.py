#!/usr/bin/python3 -B
"""shenango.py - CPU efficiency against the tail: congestion policies at intervals of 5 us to 1 ms (Shenango, McClure et
al.)."""

import simulation

POLICIES = ["standing-queue", "delay", "utilization", "priority-heap"]


def main():
    parsed = simulation.options("shenango.py", __doc__)
    requests = f"{parsed.requests:.0f}"
    results = simulation.sweep(parsed, {"congestion": POLICIES,
                                        "interval": ["5us", "10us", "25us", "50us", "100us", "250us", "1ms"]},
                               "--cores", 16, "--service", "exp:10us", "--load", 0.4, "--requests", requests)
    simulation.save(parsed, "shenango", results)

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


main()
