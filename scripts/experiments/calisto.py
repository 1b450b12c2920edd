#!/usr/bin/python3 -B
"""calisto.py - Calisto's figures 6 and 7: p99 against the rate, with and without flow affinity, 10 cores, 700 000 flows.

First while the table warms up (as many requests as flows), then with a warm one.
"""

import simulation

FLOWS = 700_000


def main():
    parsed = simulation.options("calisto.py", __doc__)
    common = ["--cores", 10, "--service", "exp:10us", "--flows", FLOWS]
    loads = {"load": [0.2, 0.4, 0.6, 0.7, 0.8]}
    names = ["rss", "flow-affinity", "flow-affinity-hybrid"]
    results = []
    for phase, requests, warm_up in (("cold", FLOWS, 0), ("warm", 4 * FLOWS, 0.75)):
        sized = common + ["--requests", f"{requests:.0f}", "--warm-up", warm_up]
        some = simulation.sweep(parsed, {"steering": names} | loads, *sized)
        installed = simulation.sweep(parsed, {"steering": ["flow-affinity"]} | loads, "--install-flows", *sized)
        for result in installed:
            result["steering"] = "flow-affinity, installed"
        for result in some + installed:
            result["phase"] = phase
            result["moved"] = result["packets_core_changed"] / result["samples"]
            results.append(result)
    simulation.save(parsed, "calisto", results)

    def of(phase):
        return [result for result in results if result["phase"] == phase]

    def steering(result):
        return result["steering"]

    simulation.plot(parsed, "calisto", "Flow affinity, 10 cores, 700 000 flows, exponential 10 us", [
        ("while the table fills", "load", "p99 in us", False, simulation.lines(of("cold"), steering, "load", "p99_us")),
        ("with a full table", "load", "p99 in us", False, simulation.lines(of("warm"), steering, "load", "p99_us")),
        ("with a full table", "load", "share of packets steered to another core", False,
         simulation.lines(of("warm"), steering, "load", "moved"))])
    simulation.table(["phase", "steering", "load", "mean us", "p99 us", "changed core", "cores"],
                     [[r["phase"], r["steering"], r["load"], r["mean_us"], r["p99_us"], r["moved"], r["cores_used"]]
                      for r in results])


main()
