"""demo.py - the demo: one run per policy, a table, JSON, a plot. Called by scripts/demo.sh, which builds first."""

import sys
import time

import options as options_of
import plots
from load_run import STEERINGS, WARMUP_S, measure
from report import Table, host_json, number, print_reasons, write_json
from rig import Placement, make_rig
from sandbox import Sandbox, Stopped, log, stop_on_signals


def arguments():
    parser = options_of.parser(
        "demo.sh", "Drives a synthetic server on libruntime through iokerneld from a Linux client, once per policy."
    )
    add = parser.add_argument
    add("--seconds", type=options_of.positive, default=8, help="measured time per policy [8]")
    add("--rate", type=options_of.positive, default=10000, help="requests per second, Poisson [10000]")
    add("--flows", type=options_of.flow_count, default=1000, help="flows, up to 700000 [1000]")
    add("--policies", type=options_of.policies, default=",".join(STEERINGS), help="steering[/pick],... [%(default)s]")
    add("--service", default="exp:10us", help="service time: const:10us, exp:10us, ... [%(default)s]")
    add("--json", metavar="FILE", help="write the result as JSON")
    add("--plot", metavar="FILE.png", help="plot the percentiles")
    return options_of.parse(parser)


def make_table():
    return Table(
        *(("policy", 24), ("offered/s", 9), ("achieved/s", 10), ("p50 us", 8), ("p90 us", 8), ("p99 us", 8)),
        *(("p99.9 us", 8), ("lost", 6), ("out of order", 12), ("changed kthread", 15)),
    )


def name_of(run):
    return f"{run['steering']}/{run['pick']}"


def print_run(table, run):
    us = [number(run[name], 1) for name in ("p50_us", "p90_us", "p99_us", "p999_us")]
    counts = [number(run[name]) for name in ("lost", "out_of_order", "packets_core_changed")]
    table.row(name_of(run), number(run["offered_rps"]), number(run["achieved_rps"]), *us, *counts)


def run_all(options, rig):
    runs = []
    failures = 0
    for i, policy in enumerate(options.policies):
        label = str(policy)
        log(f"[{i + 1}/{len(options.policies)}] {label}: {WARMUP_S:g} s warm-up, {options.seconds:g} s measured ...")
        try:
            run = measure(rig, policy, options.rate, options.flows, options.seconds, options.service)
            if run["p50_us"] is None:
                raise RuntimeError(f"no median: {run['why']['p50_us']}")
        except (RuntimeError, OSError) as error:
            failures += 1
            log(f"{label} failed: {error}")
            run = {"steering": policy.steering, "pick": policy.pick or None, "error": str(error)}
        runs.append(run)
    return runs, failures


def write_results(options, host, runs, good):
    if options.json:
        write_json(options.json, {"host": host, "runs": runs})
        print(f"wrote {options.json}")
    if options.plot and good:
        plots.percentile_bars(options.plot, good, name_of, host)
        print(f"wrote {options.plot}")


def main():
    options = arguments()
    if options.check_arguments:
        return 0
    stop_on_signals()
    try:
        with Sandbox(options.work) as box:
            placement = Placement()
            rig = make_rig(box, options.bin, placement)
            rig.keep_awake()
            print(f"port {rig.port}; {placement.sentence()}", flush=True)
            start = time.monotonic()
            runs, failures = run_all(options, rig)
            host = host_json(placement, rig.port)
    except Stopped as stopped:
        return stopped.status
    except RuntimeError as error:
        log(f"demo: {error}")
        return 1

    good = [run for run in runs if "error" not in run]
    if good:
        print()
        table = make_table()
        table.header()
        for run in good:
            print_run(table, run)
        print_reasons(good, name_of)
    print(f"{len(good)} of {len(runs)} runs in {time.monotonic() - start:.0f} s")
    try:
        write_results(options, host, runs, good)
    except OSError as error:
        log(f"demo: {error}")
        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
