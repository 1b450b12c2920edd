"""sweep_netperf.py - netperf over client threads, on libruntime and on Linux. Called by scripts/netperf.sh."""

import sys

import options as options_of
import plots
from report import Table, host_json, number, print_reasons, write_json
from rig import APP_ADDRESS, LinuxRig, Placement, make_rig
from sandbox import Sandbox, Stopped, log, stop_on_signals

PORT = 7001
CLIENT_HELP = (
    "whose CPU the client shares, if it must; memif: that of the apps, and it reaches sluice over a memif, past "
    "Linux's network stack (one thread, UDP_RR) [apps]"
)


def arguments():
    parser = options_of.parser("netperf.sh", "Sweeps client threads of UDP_RR or UDP_STREAM, sluice and Linux in turn.")
    add = parser.add_argument
    add("--test", choices=("UDP_RR", "UDP_STREAM"), default="UDP_RR", help="[UDP_RR]")
    add("--threads", type=options_of.list_of(int), default="1,2,4,8,12", help="client threads [%(default)s]")
    add("--outstanding", type=int, default=1, help="UDP_RR: requests in flight per thread [1]")
    add(
        "--servers",
        type=options_of.list_of(server),
        default="sluice,linux",
        help="linux: its server has the CPUs that the client has not; linux-beside: the client's [%(default)s]",
    )
    add("--policies", type=options_of.policies, default="rss", help="of sluice: steering[/pick],... [%(default)s]")
    add("--bytes", type=int, default=64, help="payload [64]")
    add("--slots", type=int, default=4, help="core slots on the apps' CPU, if there is only one [4]")
    add("--client", choices=("apps", "loop", "memif"), default="apps", help=CLIENT_HELP)
    add("--seconds", type=options_of.positive, default=3, help="measured time of a run [3]")
    add("--json", metavar="FILE", default=options_of.default_output("netperf.json"), help="[build/netperf.json]")
    add("--plot", metavar="FILE.png", default=options_of.default_output("netperf.png"), help="[build/netperf.png]")
    options = options_of.parse(parser)
    if options.client == "memif" and (options.test != "UDP_RR" or options.threads != [1]):
        parser.error("--client memif: allowed are --test UDP_RR and --threads 1")
    return options


def server(text):
    if text not in ("sluice", "linux", "linux-beside"):
        raise ValueError(f"got '{text}', allowed are sluice, linux and linux-beside")
    return text


def run_client(rig, options, threads, memif=None):
    words = ["--target", f"{APP_ADDRESS}:{PORT}", "--outstanding", options.outstanding, "--bytes", options.bytes]
    words += ["--seconds", options.seconds]
    timeout_s = options.seconds + 30
    if memif:
        return rig.run_memif_client(memif, *words, timeout_s=timeout_s)
    return rig.run_client("netperf", *words, "--test", options.test, "--threads", threads, timeout_s=timeout_s)


def measure_sluice(rig, options, policy, threads):
    memif = rig.box.path("memif") if options.client == "memif" else None
    port = f"memif:{memif}" if memif else rig.port
    daemon = rig.start_iokerneld(*policy.flags(), port=port)
    app = None
    try:
        app = rig.start_app(
            daemon,
            "netperf",
            *("server", "--name", "netperf", "--address", APP_ADDRESS, "--port", PORT),
            *("--kthreads", rig.placement.slots),
            wait_for="serving",
        )
        run = run_client(rig, options, threads, memif)
    finally:
        for service in (app, daemon):
            if service is not None:
                rig.drop(service)
    return {"server": f"sluice {policy}", "port": port, "server_cpus": rig.placement.apps, **run}


def measure_linux(rig, options, name, threads):
    cpus = rig.placement.client if name == "linux-beside" else rig.server_cpus
    app = rig.start_server("netperf", "--port", PORT, "--workers", len(cpus), cpus=cpus)
    try:
        run = run_client(rig, options, threads)
    finally:
        rig.drop(app)
    return {"server": name, "port": "veth", "server_cpus": cpus, **run}


def sweep(options, rig, linux, table):
    runs = []
    failures = 0
    for threads in options.threads:
        points = []
        if "sluice" in options.servers:
            points += [(f"sluice {p}", lambda p=p: measure_sluice(rig, options, p, threads)) for p in options.policies]
        for name in options.servers:
            if name != "sluice":
                points.append((name, lambda name=name: measure_linux(linux, options, name, threads)))
        for name, point in points:
            try:
                run = point()
            except (RuntimeError, OSError) as error:
                failures += 1
                log(f"{name} with {threads} threads failed: {error}")
                continue
            runs.append(run)
            gbit = number(run.get("received_gbit_per_second"), 3)
            us = [number(run[name], 1) for name in ("p50_us", "p99_us")]
            table.row(run["server"], threads, number(run["achieved_rps"]), gbit, *us, number(run["lost"]))
    return runs, failures


def series(options, runs):
    figures = {
        "UDP_RR": (("achieved_rps", "requests/s"), ("p50_us", "p50, us")),
        "UDP_STREAM": (("achieved_rps", "packets/s"),),
    }
    result = {}
    for figure, title in figures[options.test]:
        result[title] = {}
        for run in runs:
            result[title].setdefault(run["server"], []).append((run["threads"], run[figure]))
    return result


def main():
    options = arguments()
    if options.check_arguments:
        return 0
    stop_on_signals()
    columns = (("server", 24), ("threads", 7), ("per second", 10), ("Gbit/s", 7), ("p50 us", 8), ("p99 us", 8))
    table = Table(*columns, ("lost", 8))
    try:
        with Sandbox(options.work) as box:
            placement = Placement(beside_loop=options.client == "loop", slots=options.slots)
            rig = make_rig(box, options.bin, placement) if "sluice" in options.servers else None
            linux = LinuxRig(box, options.bin, placement)
            port = rig.port if rig else "veth"
            print(f"port {port}; {placement.sentence()}; the Linux server on CPUs {linux.server_cpus}")
            table.header()
            runs, failures = sweep(options, rig, linux, table)
            host = host_json(placement, port)
    except Stopped as stopped:
        return stopped.status
    except RuntimeError as error:
        log(f"netperf.sh: {error}")
        return 1
    write_json(options.json, {"host": host, "runs": runs})
    if options.test == "UDP_RR":  # that a stream has no latencies needs no words here
        shown = [run | {"why": {k: why for k, why in run["why"].items() if k.endswith("_us")}} for run in runs]
        print_reasons(shown, lambda run: f"{run['server']} with {run['threads']} threads")
    if runs:
        title = f"netperf {options.test}, {options.bytes} B"
        plots.lines(options.plot, title, "client threads", series(options, runs), host, y_label="", log_y=False)
    print(f"wrote {options.json} and {options.plot}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
