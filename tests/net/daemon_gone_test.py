"""iokerneld ends under load, by TERM and by KILL: apps say so in one line and end; a new one takes over."""

import signal

from lib import BackgroundLoad, app_stat, check, equal, load, milliseconds_until, nothing_lost, run_test, start_server


def end_under_load(rig, number):
    daemon = rig.start_iokerneld()
    server = start_server(rig, daemon)
    doomed = BackgroundLoad(rig, rate=5000, seconds=1, warmup=0, flows=50, drain_ms=100)
    milliseconds_until(lambda: app_stat(rig, daemon, "synthetic")["counters"]["rx_packets"] > 500, 10)
    daemon.kill(number)
    took = milliseconds_until(lambda: not server.alive(), 5)
    lines = [line for line in server.log().splitlines() if "iokerneld" in line and "gone" in line.lower()]
    print(f"{number.name}: the app ended {took:.0f} ms after the signal, saying: {lines}")
    equal(len(lines), 1, f"lines of the app that say so, in:\n{server.log()}")
    check(server.child.returncode == 1, f"the app's exit status is {server.child.returncode}")
    daemon.wait(5)
    if number == signal.SIGTERM:
        equal(daemon.child.returncode, 0, "iokerneld's exit status")
    doomed.wait()
    return daemon


def test(rig):
    end_under_load(rig, signal.SIGTERM)
    killed = end_under_load(rig, signal.SIGKILL)
    # The same run directory, which the killed one could not tidy up.
    daemon = rig.start_iokerneld(run_dir=killed.run_dir)
    start_server(rig, daemon)
    nothing_lost(rig, daemon, load(rig, rate=2000, seconds=1), "after the restart")


run_test(test)
