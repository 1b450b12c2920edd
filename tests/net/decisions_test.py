"""What sluicectl tells of a running system: where a flow goes and why, flows installed, decisions recorded."""

import json
import subprocess

from lib import APP_ADDRESS, PORT, check, equal, load, run_test, start_server

FLOW = ("10.64.0.9:4242", f"{APP_ADDRESS}:{PORT}/udp")
RECORDS_WITHOUT_KTHREAD = {"header", "poll", "attach", "detach", "refuse", "dropped", "end"}


def ctl(rig, daemon, *words, expect=0):
    """What `sluicectl` says, as JSON; None if it is to refuse."""
    command = [rig.program("sluicectl"), "--run-dir", daemon.run_dir, "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    equal(done.returncode, expect, f"{' '.join(words)}: {done.stderr.strip()}, its exit status")
    return json.loads(done.stdout) if expect == 0 else None


def flows(rig, daemon):
    """A flow installed before its first packet is where the explanation says, before and after there was load."""
    ctl(rig, daemon, "explain", FLOW[0], "10.0.0.77:1/udp", expect=1)
    added = ctl(rig, daemon, "flow", "add", *FLOW)
    listed = ctl(rig, daemon, "flow", "list")["flows"]
    equal([flow["hash"] for flow in listed], [added["hash"]], "the installed flows")
    for moment in ("before", "after"):
        why = ctl(rig, daemon, "explain", *FLOW)
        equal((why["app"], why["hash"], why["home"]), ("synthetic", added["hash"], added["home"]), f"{moment} the load")
        check(why["why"], "no reason is given")
        print(moment, why["kthread"], why["core"], why["why"])
        if moment == "before":
            load(rig, rate=2000, seconds=1)
    ctl(rig, daemon, "flow", "del", *FLOW)
    ctl(rig, daemon, "flow", "del", *FLOW, expect=1)


def record(rig, daemon):
    """The record of a load is whole, in order, and has as many grants as the counters."""
    path = rig.box.path("decisions")
    before = rig.stat(daemon)["grants"]["grants"]
    ctl(rig, daemon, "record", "start", path)
    load(rig, rate=2000, seconds=1)
    status = ctl(rig, daemon, "record", "stop")
    after = rig.stat(daemon)["grants"]["grants"]
    equal(status["ended"], "stopped", "the end of the recording")
    equal(status["dropped"], 0, "records dropped")
    printed = subprocess.run(
        [rig.program("sluicectl"), "record", "print", path], capture_output=True, text=True, timeout=60, check=False
    )
    equal(printed.returncode, 0, printed.stderr)
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    equal((lines[0]["what"], lines[1]["what"], lines[-1]["what"]), ("header", "attach", "end"), "first and last lines")
    grants = [line for line in lines if line["what"] == "grant" and line["cause"] != "snapshot"]
    # Some come before the first or after the last pass that is recorded.
    check(0 < len(grants) <= after - before, f"{len(grants)} grants recorded of {after - before}")
    times = [line["t_us"] for line in lines[1:]]
    check(times == sorted(times), "time goes back in the record")
    for line in lines:
        of_none = line["what"] in RECORDS_WITHOUT_KTHREAD or (line["what"] == "work" and line["cause"] in ("kick", "packet"))
        check(of_none or "kthread" in line, f"a record of no kthread: {line}")
    print(f"{len(lines)} records, {status['bytes']} bytes, {len(grants)} grants")


def test(rig):
    daemon = rig.start_iokerneld("--steering", "flow-affinity")
    start_server(rig, daemon)
    flows(rig, daemon)
    record(rig, daemon)


run_test(test)
