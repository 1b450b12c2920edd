#!/usr/bin/python3 -B
"""calisto.py - Calisto's figures 6 and 7: p99 against the rate, with and without flow affinity, 10 cores, 700 000 flows.

First as the paper has it: the rate goes up from 1 000 to 14 000 packets/s, ten seconds each, and the table fills on the
way. Then at rates that keep the cores busy: while the table fills (as many requests as flows), and with a full one.
Last what the published listing does with the same packets. With fewer --requests, all is as much smaller.
"""

import random

import simulation

FLOWS = 700_000
CORES = 10
SECONDS = 10  # at each of the paper's rates; it does not say how long
RATES = list(range(1000, 15000, 1000))
LOADS = [0.2, 0.4, 0.6, 0.7, 0.8]
COMMON = ["--cores", CORES, "--service", "exp:10us"]
NAMES = ["rss", "flow-affinity", "flow-affinity-hybrid"]
INSTALLED = "flow-affinity, installed"
# Every packet's core is there already: what asking for it with each packet comes to, at best.
HELD = "affinity, all cores held"
VARIANTS = ((INSTALLED, ["--install-flows"]), (HELD, ["--install-flows", "--idle-spin", "1s"]))


def runs(parsed, vary, *arguments):
    arguments += ("--flows", parsed.requests)
    some = simulation.sweep(parsed, {"steering": NAMES} | vary, *COMMON, *arguments)
    for name, flags in VARIANTS:
        for result in simulation.sweep(parsed, {"steering": ["flow-affinity"]} | vary, *flags, *COMMON, *arguments):
            result["steering"] = name
            some.append(result)
    for result in some:
        result["moved"] = result["packets_core_changed"] / result["samples"]
    return some


def packets_at(rate, flows):
    return max(1, rate * SECONDS * flows // FLOWS)


def as_the_paper(parsed):
    results = []
    before = 0
    for rate in RATES:
        now = packets_at(rate, parsed.requests)
        results += runs(parsed, {"rate": [rate]}, "--requests", before + now, "--warm-up", before / (before + now))
        before += now
    return results


def busy(parsed):
    results = []
    for phase, requests, warm_up in (("cold", parsed.requests, 0), ("warm", 4 * parsed.requests, 0.75)):
        for result in runs(parsed, {"load": LOADS}, "--requests", requests, "--warm-up", warm_up):
            result["phase"] = phase
            results.append(result)
    return results


class Listing:
    """rx_send_to_runtime as published (listing 3), line by line.

    What rte_hash_lookup returns is the key's position: of the n-th key n - 1, for nothing is ever deleted. The listing
    takes it for the core. `ncpu`: of the paper's machine. The app has the cores 0 to CORES - 1.
    """

    def __init__(self, ncpu=16):
        self.ncpu = ncpu
        self.affinity_core = 0
        self.position = {}
        self.value = []
        self.packets = self.beyond = self.first_beyond = self.moved = self.not_ours = 0

    def packet(self, flow):
        self.packets += 1
        known = self.position.get(flow)
        if known is None:
            if self.affinity_core == self.ncpu:
                self.affinity_core = 1
            self.position[flow] = len(self.value)
            self.value.append(self.affinity_core)
            core = self.affinity_core
            self.affinity_core += 1
        else:
            core = known
            self.moved += core != self.value[known]
        if core >= self.ncpu:
            self.beyond += 1
            self.first_beyond = self.first_beyond or self.packets
        elif core >= CORES:
            self.not_ours += 1


def listing(flows):
    """The paper's packets through it: a row per rate."""
    drawn = random.Random(1)
    listed = Listing()
    rows = []
    for rate in RATES:
        packets, beyond, moved = listed.packets, listed.beyond, listed.moved
        for _ in range(packets_at(rate, flows)):
            listed.packet(drawn.randrange(flows))
        count = listed.packets - packets
        rows.append({"rate": rate, "beyond": (listed.beyond - beyond) / count, "moved": (listed.moved - moved) / count,
                     "known": 1 - (len(listed.value) - sum(row["new"] for row in rows)) / count,
                     "new": len(listed.value) - sum(row["new"] for row in rows)})
    on_core = [listed.value.count(core) for core in range(listed.ncpu)]
    print(f"\nThe listing: packet {listed.first_beyond} is the first for a core that does not exist (position taken for "
          f"core), {100 * listed.beyond / listed.packets:.0f} % of all packets are.\nWith the stored core instead: flows "
          f"of core 0 {on_core[0]}, of core 1 {on_core[1]}, of core {listed.ncpu - 1} {on_core[-1]}; "
          f"{100 * sum(on_core[CORES:]) / len(listed.value):.0f} % of the flows on cores that the app has not.\n")
    simulation.table(["packets/s", "of known flows %", "for no core %"],
                     [[row["rate"], 100 * row["known"], 100 * row["beyond"]] for row in rows])
    return rows


def against_rss(results, x):
    """{steering: [(x, p99 over that of rss in %)]}"""
    rss = {result[x]: result["p99_us"] for result in results if result["steering"] == "rss"}
    return simulation.lines([result | {"percent": 100 * (result["p99_us"] / rss[result[x]] - 1)} for result in results],
                            lambda result: result["steering"], x, "percent")


def draw(parsed, paper, loaded):
    cold, warm = ([result for result in loaded if result["phase"] == phase] for phase in ("cold", "warm"))
    simulation.plot(parsed, "calisto", f"Flow affinity, 10 cores, {parsed.requests} flows, exponential 10 us", [
        ("as the paper: the rate goes up, the table fills", "1000 packets/s", "p99 in us", False,
         simulation.lines(paper, lambda result: result["steering"], "kpps", "p99_us")),
        ("the same", "1000 packets/s", "p99 over that of rss in %", False, against_rss(paper, "kpps")),
        ("busy cores, while the table fills", "load", "p99 over that of rss in %", False, against_rss(cold, "load")),
        ("busy cores, a full table", "load", "p99 over that of rss in %", False, against_rss(warm, "load")),
        ("busy cores, a full table", "load", "share of packets steered to another core", False,
         simulation.lines(warm, lambda result: result["steering"], "load", "moved"))])


def main():
    parsed = simulation.options("calisto.py", __doc__, requests=FLOWS,
                                requests_help="while the table fills, and as many flows")
    paper, loaded = as_the_paper(parsed), busy(parsed)
    for result in paper:
        result["phase"] = "as the paper"
        result["kpps"] = result["rate_per_s"] / 1000
    simulation.save(parsed, "calisto", paper + loaded)
    draw(parsed, paper, loaded)
    simulation.table(["phase", "steering", "load", "packets/s", "mean us", "p99 us", "changed core", "cores"],
                     [[r["phase"], r["steering"], r["load"], r["rate_per_s"], r["mean_us"], r["p99_us"], r["moved"],
                       r["cores_used"]] for r in paper + loaded])
    listing(parsed.requests)


if __name__ == "__main__":
    main()
