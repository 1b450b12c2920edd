#!/usr/bin/python3 -B
"""live.py - the same load on the real daemon of this machine and in the simulator, side by side. As root.

iokerneld's loop has one CPU; the app, one core slot, shares the other with the Linux client that drives it. The simulator
gets one core and the costs that `simulator calibrate` measures in the same minute, and once more with what the client
took of the app's CPU (its CPU time per request, measured) as a cost of each packet. What is not modelled is the way of a
packet between client and iokerneld (sockets, veth, AF_XDP): the difference between the two medians of a load without work
is measured once, and added where it says `path`: the medians of that load agree because of it, the others have to by
themselves.
`grant below`: a bound on the daemon's own median from grant to acknowledgement, to compare with grant + wake of the profile.
"""

import os
import resource
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor

import simulation

sys.path.insert(0, os.path.join(simulation.ROOT, "scripts", "lib"))

import load_run  # noqa: E402
import rig as rigs  # noqa: E402
from sandbox import Sandbox, Stopped, log, stop_on_signals  # noqa: E402

FIGURES = ("mean_us", "p50_us", "p99_us")
LOADS = {
    "const:10us": (1000, 2000, 4000, 8000),
    "exp:50us": (1000, 2000, 3000, 5000),
    "bimodal:0.9:5us:455us": (1000, 2000, 3000, 5000),
}
IDLE = ("const:0", 2000)  # no work: what is left is the way
STEERING = "rss"
FLOWS = 1000


def simulate(parsed, profile, service, rate):
    command = [parsed.simulator, "run", "--cores", 1, "--service", service, "--rate", rate, "--flows", FLOWS, "--profile",
               profile, "--steering", STEERING, "--requests", f"{parsed.requests:.0f}", "--json", "-"]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True, text=True)
    return simulation.json.loads(done.stdout)


def read_costs(profile):
    with open(profile, "rb") as file:
        return tomllib.load(file)


def client_cpu_us(run_client, used):
    """`run_client`, and the CPU time of the client in `used`."""
    def measured(*arguments, **options):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = run_client(*arguments, **options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(1e6 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime))
        return result
    return measured


def keep_stat(stat, kept):
    def measured(daemon):
        kept.append(stat(daemon))
        return kept[-1]
    return measured


def median_grant_below_us(stat):
    """The daemon counts how long its grants took in powers of two of ticks: the upper bound of the median's."""
    buckets = stat["grants"]["latency"]
    before = 0
    for bucket in buckets:
        before += bucket["grants"]
        if 2 * before >= sum(each["grants"] for each in buckets):
            return bucket["below_us"]
    return None


def run_live(parsed, rig):
    """{(service, rate): what the client saw}; the one without work first."""
    policy = load_run.Policy(STEERING)
    seen, used, stats = {}, [], []
    rig.run_client = client_cpu_us(rig.run_client, used)
    rig.stat = keep_stat(rig.stat, stats)
    for service, rates in ({IDLE[0]: (IDLE[1],)} | LOADS).items():
        for rate in rates:
            log(f"{service} at {rate}/s ...")
            run = load_run.measure(rig, policy, rate, FLOWS, parsed.seconds, service)
            run["client_us"] = used[-1] / (rate * (parsed.seconds + load_run.WARMUP_S))
            run["grant_below_us"] = median_grant_below_us(stats[-1])
            seen[service, rate] = run
    return seen


def with_client(costs, client_us, path):
    """Writes the profile with the client's time in the cost of a packet."""
    with open(path, "w", encoding="utf-8") as file:
        for name, ns in (costs | {"softirq_ns": costs["softirq_ns"] + 1000 * client_us}).items():
            file.write(f"{name} = {ns}\n")
    return path


def compare(parsed, seen, profile):
    costs = read_costs(profile)

    def both(point):
        (service, rate), run = point
        shared = with_client(costs, run["client_us"], f"{profile}.{service}.{rate}")
        return simulate(parsed, profile, service, rate), simulate(parsed, shared, service, rate)

    with ThreadPoolExecutor(parsed.jobs) as pool:
        simulated = list(pool.map(both, seen.items()))
    way = next(iter(seen.values()))["p50_us"] - simulated[0][1]["p50_us"]
    rows = []
    for ((service, rate), run), (alone, shared) in zip(seen.items(), simulated):
        row = {"service": service, "rate": rate, "path_us": way, "client_us": run["client_us"],
               "grant_below_us": run["grant_below_us"], "lost": run["lost"], "late": run["late"], "sent": run["sent"]}
        for figure in FIGURES:
            row[f"live_{figure}"], row[f"simulated_{figure}"] = run[figure], alone[figure]
            row[f"shared_{figure}"] = shared[figure] + way
        rows.append(row)
    return rows


def show(parsed, rows, costs):
    simulation.save(parsed, "live", rows)
    panels = []
    for service in LOADS:
        mine = [row for row in rows if row["service"] == service]
        lines = {}
        for figure in ("p50_us", "p99_us"):
            name = figure.removesuffix("_us")
            for how, label in (("live", "live"), ("shared", "simulated + client + path")):
                lines[f"{name}, {label}"] = [(row["rate"] / 1e3, row[f"{how}_{figure}"]) for row in mine
                                             if row[f"{how}_{figure}"] is not None]
        panels.append((service, "1000 requests/s", "us", True, lines))
    note = (f"one app core, which the client shares; path {rows[0]['path_us']:.0f} us, client "
            f"{rows[0]['client_us']:.0f} us a request, wake {costs['wake_ns'] / 1e3:.1f} us as calibrated")
    simulation.plot(parsed, "live", "The real daemon and the simulator", panels, note=note, paired=True)
    print(f"path {rows[0]['path_us']:.1f} us; calibrated, ns: " +
          ", ".join(f"{name.removesuffix('_ns')} {value:.0f}" for name, value in costs.items()))
    simulation.table(["service", "requests/s", "client us", "p50 live", "simulated", "+ client + path", "p99 live",
                      "simulated", "+ client + path", "mean live", "+ client + path", "grant below", "lost", "late %"],
                     [[row["service"], row["rate"], row["client_us"], row["live_p50_us"], row["simulated_p50_us"],
                       row["shared_p50_us"], row["live_p99_us"], row["simulated_p99_us"], row["shared_p99_us"],
                       row["live_mean_us"], row["shared_mean_us"], row["grant_below_us"], row["lost"],
                       100 * row["late"] / row["sent"]] for row in rows])


def main():
    parser = simulation.parser("live.py", __doc__)
    parser.add_argument("--seconds", type=float, default=2, help="measured time of a live run (%(default)g)")
    parsed = simulation.parse(parser)
    stop_on_signals()
    try:
        with tempfile.TemporaryDirectory() as work:
            os.environ["RUNTIME_DIRECTORY"] = os.path.join(work, "dpdk")
            os.mkdir(os.environ["RUNTIME_DIRECTORY"])
            with Sandbox(work) as box:
                rig = rigs.make_rig(box, parsed.bin, rigs.Placement(slots=1))
                rig.keep_awake()
                log(f"port {rig.port}; {rig.placement.sentence()}")
                profile = os.path.join(work, "profile.toml")
                subprocess.run([parsed.simulator, "calibrate", "--out", profile], check=True)
                seen = run_live(parsed, rig)
            rows = compare(parsed, seen, profile)
            costs = read_costs(profile)
    except Stopped as stopped:
        return stopped.status
    except (RuntimeError, subprocess.CalledProcessError) as error:
        log(f"live.py: {error}")
        return 1
    show(parsed, rows, costs)
    return 0


sys.exit(main())
