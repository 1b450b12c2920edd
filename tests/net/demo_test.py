"""scripts/demo.sh: wrong arguments are refused before anything starts, a result file that cannot be written too; what
it writes has every figure of the documented form, or null and the reason."""

import os
import subprocess

from lib import ROOT, check, equal, read_json, run_test

FIGURES = (
    "steering pick port grant flows offered_rps achieved_rps sent received lost out_of_order packets_core_changed "
    "packets_stolen mean_us p50_us p90_us p95_us p99_us p999_us samples"
).split()
HOST = ("cpus", "cores", "oversubscribed", "placement")


def demo(rig, *arguments, timeout_s=60):
    environment = dict(os.environ, SLUICE_BIN=rig.bin)
    words = [os.path.join(ROOT, "scripts", "demo.sh"), *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)


def refuses(rig):
    wrong = (
        (("--json", rig.box.directory), "--json: got"),
        (("--json", "/proc/none.json"), "--json: got"),
        (("--json", ""), "--json: got ''"),
        (("--plot", rig.box.path("none/x.png")), "--plot: got"),
        (("--plot", rig.box.path("x.jpg")), "a name that ends in .png"),
        (("--seconds", "nan"), "got 'nan', allowed is"),
        (("--rate", "fast"), "got 'fast', allowed is"),
        (("--flows", "1.5"), "got '1.5', allowed is"),
        (("--sec", "1"), "unrecognized arguments"),
        (("--policies", "rss,flow-affinty"), "did you mean flow-affinity?"),
        (("--policies", "rss/skan"), "did you mean scan?"),
    )
    for arguments, sentence in wrong:
        done = demo(rig, *arguments)
        equal(done.returncode, 2, f"{arguments}: {done.stderr}, its exit status")
        check(sentence in done.stderr, f"{arguments}: '{sentence}' is not in: {done.stderr}")
        check("warm-up" not in done.stderr, f"{arguments}: a run began")
        print(done.stderr.strip().splitlines()[-1])
    check(not os.path.exists(rig.box.path("x.jpg")), "a file was left where a name was checked")


def writes(rig):
    path = rig.box.path("demo.json")
    done = demo(rig, "--seconds", "1", "--rate", "500", "--policies", "rss", "--json", path)
    equal(done.returncode, 0, f"{done.stdout}{done.stderr}, its exit status")
    result = read_json(path)
    for name in HOST:
        check(name in result["host"], f"host: no {name}")
    equal(sorted(result["host"]["cores"]), ["cpus", "slots"], "host: cores")
    (run,) = result["runs"]
    for name in FIGURES:
        check(name in run, f"no {name}")
        equal(run[name] is None, name in run["why"], f"{name} is {run[name]}, why {run['why']}: null is explained")
    check(run["p999_us"] is None, "a p99.9 of some 500 samples")


def test(rig):
    refuses(rig)
    writes(rig)


run_test(test)
