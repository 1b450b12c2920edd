#!/usr/bin/python3 -B
"""shinjuku.py - 99.5 % of 0.5 us and 0.5 % of 500 us: partitioned (as IX), stealing, one queue, and time slices."""

import simulation

LOADS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def main():
    parsed = simulation.options("shinjuku.py", __doc__)
    common = ["--cores", 16, "--service", "bimodal:0.995:0.5us:500us", "--requests", f"{parsed.requests:.0f}"]
    results = simulation.sweep(parsed, {"scheduler": ["d-fcfs", "steal", "c-fcfs", "ps:5us"], "load": LOADS}, *common)
    for slice_length in ("0", "15us", "5us"):
        some = simulation.sweep(parsed, {"scheduler": ["sluice"], "load": LOADS}, "--slice", slice_length, *common)
        for result in some:
            result["scheduler"] = "sluice" if slice_length == "0" else f"sluice, slices of {slice_length}"
        results += some
    simulation.save(parsed, "shinjuku", results)

    def scheduler(result):
        return result["scheduler"]

    simulation.plot(parsed, "shinjuku", "99.5 % 0.5 us, 0.5 % 500 us, 16 cores", [
        ("99 %", "load", "p99 in us", True, simulation.lines(results, scheduler, "load", "p99_us")),
        ("mean slowdown", "load", "sojourn / service", True,
         simulation.lines(results, scheduler, "load", "mean_slowdown"))])
    simulation.table(["scheduler", "load", "p50 us", "p99 us", "mean slowdown"],
                     [[r["scheduler"], r["load"], r["p50_us"], r["p99_us"], r["mean_slowdown"]] for r in results])


main()
