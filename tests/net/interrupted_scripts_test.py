"""The scripts, interrupted at several stages by a signal to the script alone: the right exit status, within two
seconds, and no process, file, interface or namespace is left. And two of them at a time."""

import os
import signal
import subprocess
import time

from lib import ROOT, check, equal, run_test

LEAVE_WITHIN_S = 2.0
MARK = "SLUICE_TEST_MARK"


def processes(mark):
    """Living processes that descend from ours, by a variable of their environment."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                marked = f"{MARK}={mark}".encode() in file.read().split(b"\0")
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                command = file.read().replace("\0", " ").strip()
        except OSError:
            continue
        if marked and command:
            found[int(pid)] = command
    return found


def interfaces():
    return set(os.listdir("/sys/class/net"))


def named_namespaces():
    return set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()


class Script:
    def __init__(self, rig, mark, *words):
        self.mark = mark
        self.temporary = rig.box.path(f"tmp-{mark}")
        os.mkdir(self.temporary)
        self.log_path = rig.box.path(f"script-{mark}.log")
        environment = dict(os.environ, **{MARK: mark, "SLUICE_BIN": rig.bin, "TMPDIR": self.temporary})
        with open(self.log_path, "wb") as log:
            self.child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=ROOT
            )

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def check_nothing_left(self, what):
        equal(processes(self.mark), {}, f"{what}: processes left")
        equal(os.listdir(self.temporary), [], f"{what}: files left")


def wait_for_stage(script, stage):
    """`stage` is a time after the start in seconds, or a text of the log."""
    if isinstance(stage, float):
        time.sleep(stage)
        return
    deadline = time.monotonic() + 60
    while stage not in script.log():
        check(script.child.poll() is None, f"the script ended by itself:\n{script.log()}")
        check(time.monotonic() < deadline, f"'{stage}' did not come:\n{script.log()}")
        time.sleep(0.01)


def interrupt(rig, number, stage, *words):
    rig.count += 1
    mark = f"{rig.count}-{number.name}-{str(stage).replace(' ', '_').replace('.', '_')}-{os.path.basename(words[0])}"
    links, names = interfaces(), named_namespaces()
    script = Script(rig, mark, *words)
    try:
        wait_for_stage(script, stage)
        count = len(processes(mark))
        check(script.child.poll() is None, f"the script ended by itself:\n{script.log()}")
        start = time.monotonic()
        script.child.send_signal(number)
        status = script.child.wait(10)
        took = time.monotonic() - start
    finally:
        if script.child.poll() is None:
            script.child.kill()
    print(f"{mark}: {count} processes, exit {status} after {took:.2f} s", flush=True)
    equal(status, 128 + number, f"{mark}: exit status")
    check(took < LEAVE_WITHIN_S, f"{mark}: it took {took:.2f} s")
    script.check_nothing_left(mark)
    equal(interfaces(), links, f"{mark}: interfaces")
    equal(named_namespaces(), names, f"{mark}: namespaces")


def test(rig):
    demo = ("scripts/demo.sh", "--seconds", "60", "--policies", "rss", "--rate", "1000")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for stage in (0.05, 0.4, "port ", "measured"):
            interrupt(rig, number, stage, *demo)
    interrupt(rig, signal.SIGTERM, 0.1, "scripts/test.sh")
    interrupt(rig, signal.SIGINT, 0.6, "scripts/test.sh")
    # As a background job of a shell without job control, where SIGINT starts out ignored.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt(rig, signal.SIGINT, "measured", *demo)

    short = ("scripts/demo.sh", "--seconds", "1", "--policies", "rss", "--rate", "500")
    both = [Script(rig, f"pair{i}", *short) for i in range(2)]
    for script in both:
        equal(script.child.wait(90), 0, f"one of two demos at a time:\n{script.log()}")
        script.check_nothing_left("two demos at a time")


run_test(test)
