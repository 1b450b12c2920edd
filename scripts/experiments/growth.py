#!/usr/bin/python3 -B
"""growth.py - what a simulated event costs as the machine grows: instructions, counted by callgrind, so that neither the
clock nor the neighbours matter. Of two runs the difference: what the start costs is in neither. Needs valgrind."""

import concurrent.futures
import math
import re
import subprocess
import sys

import simulation

CORES = [16, 64, 256, 1024]
SCHEDULERS = ["sluice", "c-fcfs", "steal", "jsq:2", "ps:5us"]
SERVICE, LOAD = "exp:100us", 0.5  # at 10 us the one IOKernel could not feed 256 cores


def counted(parsed, arguments, requests):
    """Instructions, and the run's result."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", parsed.simulator, "run", *arguments,
               "--requests", str(requests), "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not collected:
        sys.exit(f"failed: {' '.join(command)}\n{done.stderr}")
    return int(collected.group(1)), simulation.json.loads(done.stdout)


def point(parsed, scheduler, cores):
    arguments = ["--scheduler", scheduler, "--cores", str(cores), "--service", SERVICE, "--load", str(LOAD)]
    short, long = 10_000 + 50 * cores, 30_000 + 150 * cores
    (few, less), (many, more) = (counted(parsed, arguments, count) for count in (short, long))
    return {"scheduler": scheduler, "cores": cores, "per_request": (many - few) / (long - short),
            "per_event": (many - few) / (more["events"] - less["events"]), "events_per_request": more["events"] / long}


def main():
    parsed = simulation.options("growth.py", __doc__, requests=None)
    points = [(scheduler, cores) for scheduler in SCHEDULERS for cores in CORES]
    with concurrent.futures.ThreadPoolExecutor(parsed.jobs) as pool:
        results = list(pool.map(lambda one: point(parsed, *one), points))
    first = {result["scheduler"]: result for result in results if result["cores"] == CORES[0]}
    for result in results:
        result["growth"] = result["per_event"] / first[result["scheduler"]]["per_event"]
        result["logarithm"] = math.log2(result["cores"]) / math.log2(CORES[0])
    simulation.save(parsed, "growth", results)

    def scheduler(result):
        return result["scheduler"]

    growth = simulation.lines(results, scheduler, "cores", "growth")
    growth["log(cores)"] = [(cores, math.log2(cores) / math.log2(CORES[0])) for cores in CORES]
    simulation.plot(parsed, "growth", f"The cost of an event, {SERVICE} at load {LOAD}", [
        ("instructions", "virtual cores", "per event", False, simulation.lines(results, scheduler, "cores", "per_event")),
        ("growth", "virtual cores", "times that of 16 cores", False, growth)], note="counted by callgrind")
    simulation.table(["scheduler"] + [f"{cores} cores" for cores in CORES] + ["growth", "of the logarithm"],
                     [[name] + [f"{r['per_event']:.0f}" for r in results if r["scheduler"] == name] +
                      [[r["growth"] for r in results if r["scheduler"] == name][-1],
                       math.log2(CORES[-1]) / math.log2(CORES[0])] for name in SCHEDULERS])


main()
