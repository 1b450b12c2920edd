"""kill -9 of one app under load: the other notices nothing, the address is free at once, no buffer is lost."""

import signal

from lib import BackgroundLoad, app_stat, check, load, milliseconds_until, nothing_lost, run_test, start_server

OTHER = "10.0.0.3"
KILLS = 5


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon, name="survivor", address=OTHER)
    survivor = BackgroundLoad(rig, address=OTHER, rate=3000, seconds=8, warmup=0.5, flows=50, source_port=30000)
    for i in range(KILLS):
        victim = start_server(rig, daemon, name="victim")
        doomed = BackgroundLoad(rig, rate=5000, seconds=0.6, warmup=0, flows=50, drain_ms=100)
        milliseconds_until(lambda: app_stat(rig, daemon, "victim")["counters"]["rx_packets"] > 500, 10)
        gone = daemon.log().count("victim has gone")
        victim.kill(signal.SIGKILL)
        took = milliseconds_until(lambda: daemon.log().count("victim has gone") > gone, 5)
        print(f"kill {i + 1}: cleaned up {took:.1f} ms after the signal")
        doomed.wait()
    result = survivor.result()
    nothing_lost(rig, daemon, result, "the other app")
    check(daemon.alive(), "iokerneld ended")
    start_server(rig, daemon, name="heir")  # at the victim's address
    nothing_lost(rig, daemon, load(rig, rate=2000, seconds=1), "the heir of the address")


run_test(test)
