"""An app that writes rubbish into its rings, posts buffers twice, lies about its state and punches holes into its
region, under load of another: iokerneld and the other do not notice; what it did is counted."""

from lib import BackgroundLoad, app_stat, check, equal, nothing_lost, run_test, start_server

MODES = ("scribble", "double", "punch", "liar", "control")
OTHER = "10.0.0.3"
# What must have been counted against it.
COUNTED = {"double": ("fill_double", "fill_index", "fill_type", "tx_type")}


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon, name="good")
    for seed, mode in enumerate(MODES):
        good = BackgroundLoad(rig, rate=3000, seconds=2, warmup=0.5, flows=50)
        hostile = rig.box.service(
            f"hostile-{mode}",
            *("nice", "-n", "19", rig.program("hostile"), "--run-dir", daemon.run_dir),
            *("--address", OTHER, "--mode", mode, "--seconds", "2.5", "--seed", seed + 1),
            namespace=rig.server,
            cpus=rig.placement.apps,
        )
        # Something for it to receive, too.
        probe = {"rate": 500, "seconds": 1.5, "warmup": 0, "flows": 5, "source_port": 30000, "drain_ms": 100}
        BackgroundLoad(rig, address=OTHER, **probe).wait()
        drops = {}
        if mode != "control":
            stat = app_stat(rig, daemon, "hostile")
            drops = {reason: n for reason, n in (stat or {}).get("drops", {}).items() if n}
        for reason in COUNTED.get(mode, ()):
            check(drops.get(reason, 0) > 0, f"{mode}: nothing counted as {reason}: {drops}")
        equal(hostile.wait(30), 0, f"the hostile app's exit status, {mode}:\n{hostile.log()}")
        result = good.result()
        check(daemon.alive(), f"iokerneld ended under {mode}")
        print(f"{mode}: the other's p50 {result['p50_us']} us, lost {result['lost']}; {hostile.log().strip()}; {drops}")
        nothing_lost(rig, daemon, result, f"the other app under {mode}")


run_test(test)
