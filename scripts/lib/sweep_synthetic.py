"""sweep_synthetic.py - the synthetic load, rate by rate and policy by policy. Called by scripts/synthetic.sh."""

import sys

import options as options_of
import plots
from load_run import STEERINGS, measure
from report import Table, host_json, number, print_reasons, write_json
from rig import Placement, make_rig
from sandbox import Sandbox, Stopped, log, stop_on_signals


def arguments():
    parser = options_of.parser("synthetic.sh", "Sweeps the rate of an open-loop load over steering and pick policies.")
    add = parser.add_argument
    rates = options_of.list_of(options_of.positive)
    add("--rates", type=rates, default="2000,5000,10000,20000", help="requests per second [%(default)s]")
    add("--policies", type=options_of.policies, default=",".join(STEERINGS), help="steering[/pick],... [%(default)s]")
    add("--flows", type=options_of.flow_count, default=1000, help="flows, up to 700000 [1000]")
    add("--seconds", type=options_of.positive, default=5, help="measured time of a run [5]")
    add("--repeats", type=int, default=1, help="runs of each point; all are written, medians plotted [1]")
    add("--service", default="const:10us", help="service time: const:10us, exp:10us, ... [%(default)s]")
    add("--arrivals", choices=("poisson", "uniform"), default="poisson", help="[poisson]")
    add("--batch", action="store_true", help="a best-effort app burns the cores that nobody needs")
    add("--json", metavar="FILE", default=options_of.default_output("synthetic.json"), help="[build/synthetic.json]")
    add("--plot", metavar="FILE.png", default=options_of.default_output("synthetic.png"), help="[build/synthetic.png]")
    return options_of.parse(parser)


def sweep(options, rig, table):
    """All points; the repeats go round and round, so that a noisy minute does not fall on one policy."""
    runs = []
    failures = 0
    for repeat in range(options.repeats):
        for rate in options.rates:
            for policy in options.policies:
                try:
                    point = (rate, options.flows, options.seconds, options.service, options.arrivals)
                    run = measure(rig, policy, *point, batch=options.batch)
                except (RuntimeError, OSError) as error:
                    failures += 1
                    log(f"{policy} at {rate:g}/s failed: {error}")
                    continue
                run["repeat"] = repeat
                run["rate"] = rate
                run["policy"] = str(policy)
                runs.append(run)
                us = [number(run[name], 1) for name in ("p50_us", "p99_us", "p999_us")]
                counts = [number(run[name]) for name in ("lost", "out_of_order", "packets_core_changed")]
                table.row(policy, number(rate), number(run["achieved_rps"]), *us, *counts)
    return runs, failures


def median(values):
    kept = sorted(value for value in values if value is not None)
    return kept[len(kept) // 2] if kept else None


def series(options, runs):
    result = {}
    for figure, title in (("p50_us", "p50"), ("p99_us", "p99")):
        result[title] = {}
        for policy in options.policies:
            points = []
            for rate in options.rates:
                mine = [run[figure] for run in runs if run["policy"] == str(policy) and run["rate"] == rate]
                points.append((rate / 1000, median(mine)))
            result[title][str(policy)] = points
    return result


def main():
    options = arguments()
    if options.check_arguments:
        return 0
    stop_on_signals()
    columns = (("policy", 24), ("rate/s", 9), ("achieved/s", 10), ("p50 us", 8), ("p99 us", 8), ("p99.9 us", 8))
    table = Table(*columns, ("lost", 6), ("out of order", 12), ("changed kthread", 15))
    try:
        with Sandbox(options.work) as box:
            placement = Placement()
            rig = make_rig(box, options.bin, placement)
            if not options.batch:
                rig.keep_awake()
            print(f"port {rig.port}; {placement.sentence()}")
            table.header()
            runs, failures = sweep(options, rig, table)
            host = host_json(placement, rig.port)
    except Stopped as stopped:
        return stopped.status
    except RuntimeError as error:
        log(f"synthetic.sh: {error}")
        return 1
    print_reasons(runs, lambda run: f"{run['policy']} at {run['rate']:g}/s")
    write_json(options.json, {"host": host, "runs": runs})
    if runs:
        plots.lines(options.plot, f"synthetic, {options.service}", "1000 requests/s", series(options, runs), host)
    print(f"wrote {options.json} and {options.plot}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
