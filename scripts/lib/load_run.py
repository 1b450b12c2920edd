"""load_run.py - one measured run of the synthetic load under one policy."""

from rig import APP_ADDRESS, FLOW_NETWORK

PORT = 7000
WARMUP_S = 1.0

# The members of a run, in the order of the JSON; what the client reports is taken over as it is.
FIGURES = (
    "flows offered_rps achieved_rps sent received lost out_of_order packets_core_changed packets_stolen "
    "mean_us p50_us p90_us p95_us p99_us p999_us samples why "
    "max_us unsent late duplicates seconds warmup_seconds service arrivals request_bytes seed"
).split()

STEERINGS = ("rss", "round-robin", "flow-affinity")


class Policy:
    """STEERING or STEERING/PICK, as on the command line."""

    def __init__(self, text):
        self.steering, _, self.pick = text.partition("/")
        if not self.steering or text.endswith("/"):
            raise ValueError(f"policy: got '{text}', allowed is STEERING or STEERING/PICK, such as rss/scan")

    def __str__(self):
        return self.steering + (f"/{self.pick}" if self.pick else "")

    def flags(self):
        return ["--steering", self.steering] + (["--pick", self.pick] if self.pick else [])


def measure(rig, policy, rate, flows, seconds, service, arrivals="poisson", batch=False):
    """Starts iokerneld, a server and a client, and returns the run's JSON. Raises RuntimeError if anything fails."""
    daemon = rig.start_iokerneld(*policy.flags())
    services = [daemon]
    try:
        server = rig.start_app(
            daemon,
            "synthetic",
            *("server", "--name", "synthetic", "--address", APP_ADDRESS),
            *("--port", PORT, "--kthreads", rig.placement.slots),
            wait_for="serving",
        )
        services.append(server)
        if batch:
            filler = rig.start_app(daemon, "batch", wait_for="working")
            services.append(filler)
        result = rig.run_client(
            "synthetic",
            *("--target", f"{APP_ADDRESS}:{PORT}", "--sources", FLOW_NETWORK, "--realtime"),
            *("--rate", rate, "--flows", flows, "--seconds", seconds, "--warmup", WARMUP_S),
            *("--service", service, "--arrivals", arrivals),
            timeout_s=seconds + WARMUP_S + 30,
        )
        stat = rig.stat(daemon)
        for program in services:
            if not program.alive():
                raise RuntimeError(f"{program.command[0]} ended during the run:\n{program.log().strip()}")
    finally:
        statuses = [(program, rig.drop(program)) for program in reversed(services)]
    for program, status in statuses:
        if status != 0:
            raise RuntimeError(f"{program.command[0]} ended with {status}:\n{program.log().strip()}")
    run = {
        "steering": stat["iokerneld"]["steering"],
        "pick": stat["iokerneld"]["pick"],
        "port": rig.port,
        "grant": stat["grants"]["backend"],
    }
    run.update((name, result[name]) for name in FIGURES)
    return run
