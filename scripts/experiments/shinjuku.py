#!/usr/bin/python3 -B
"""shinjuku.py - 99.5 % of 0.5 us and 0.5 % of 500 us on 16 cores: partitioned (as IX), stealing, one queue, and time
slices: ideal ones (ps:SLICE) and those of the daemon."""

import simulation

LOADS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
IDEAL = ["d-fcfs", "steal", "c-fcfs", "ps:5us", "ps:50us"]
SLICES = ["0", "100us", "50us", "20us", "10us"]


def main():
    parsed = simulation.options("shinjuku.py", __doc__)
    common = ["--cores", 16, "--service", "bimodal:0.995:0.5us:500us", "--requests", f"{parsed.requests:.0f}"]
    results = simulation.sweep(parsed, {"scheduler": IDEAL, "load": LOADS}, *common)
    for result in results:
        result["scheduler"] = "ideal: " + result["scheduler"]
    for length in SLICES:
        some = simulation.sweep(parsed, {"load": LOADS}, "--slice", length, *common)
        for result in some:
            result["scheduler"] = "sluice" if length == "0" else f"sluice, slices of {length}"
            result["slices_share"] = 100 * result["iokernel"]["time_slices"]
            result["put_off"] = result["turns_deferred"]
        results += some
    simulation.save(parsed, "shinjuku", results)

    def scheduler(result):
        return result["scheduler"]

    simulation.plot(parsed, "shinjuku", "99.5 % 0.5 us, 0.5 % 500 us, 16 cores", [
        ("99 %", "load", "p99 in us", True, simulation.lines(results, scheduler, "load", "p99_us")),
        ("mean slowdown", "load", "sojourn / service", True,
         simulation.lines(results, scheduler, "load", "mean_slowdown"))])
    simulation.table(["scheduler", "load", "p50 us", "p99 us", "mean slowdown", "IOKernel on slices, %", "put off"],
                     [[r["scheduler"], r["load"], r["p50_us"], r["p99_us"], r["mean_slowdown"],
                       r.get("slices_share", ""), r.get("put_off", "")] for r in results])


main()
